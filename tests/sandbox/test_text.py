from itertools import product

from sandbox.text import count_tokens, natural_length, seed_of, talk


def test_every_answer_has_the_tokens_it_was_asked_for():
    for tokens, seed in product((0, 1, 2, 51, 52, 53, 5_000, 20_000), (0, 7, 51, 52, 1_000_003)):
        text = talk(tokens, seed)
        assert count_tokens(text.decode()) == tokens
        assert len(text) == 4 * tokens


def test_answers_hold_characters_of_every_utf8_length():
    sizes = {len(character.encode()) for character in talk(60, 0).decode()}
    assert sizes == {1, 2, 3, 4}


def test_a_started_token_counts_whole():
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde", "é", "ééé")] == [0, 1, 1, 2, 1, 2]


def test_the_same_question_gets_the_same_answer_and_another_model_another():
    assert seed_of("a/b", "hi") == seed_of("a/b", "hi") != seed_of("a/c", "hi")
    assert 20 <= natural_length(seed_of("a/b", "hi")) <= 83
