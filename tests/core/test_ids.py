import os
import threading
import time
from uuid import UUID

from core.ids import text_of_id, uuid7


def test_an_id_is_a_uuid7_and_sorts_by_its_time():
    before = time.time()
    first = uuid7()
    after = time.time()
    time.sleep(0.002)
    second = uuid7()
    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert first < second
    assert before - 0.001 <= (first.int >> 80) / 1000 <= after


def test_ids_made_by_many_threads_at_once_differ():
    made: list = []
    threads = [threading.Thread(target=lambda: made.extend(uuid7() for _ in range(5_000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 40_000


def test_a_forked_process_does_not_repeat_its_parents_ids():
    uuid7()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"".join(uuid7().bytes[6:] for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    of_child = os.read(read, 10_000)
    parts = {of_child[at : at + 10] for at in range(0, len(of_child), 10)}
    assert len(parts) == 100
    assert not parts & {uuid7().bytes[6:] for _ in range(100)}


def test_the_quick_text_of_an_id_is_its_text():
    for id in (uuid7(), UUID(int=0), UUID(int=2**128 - 1), UUID("0193A1F2-7c1e-7a40-9d6b-2f1c5e8a4b10")):
        assert text_of_id(id) == str(id)
