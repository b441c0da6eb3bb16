-- Sliding windows for a batch of calls, decided one after the other.
--
-- A window is a hash of twelve slots: slot number -> amount taken in it. A slot counts until everything in it is older than
-- the window, so no span of that length ever sees more than the limit; room comes back slot by slot.
--
-- KEYS     all hashes that the batch touches
-- ARGV[1]  JSON: [[ [key index, limit, cost, window ms], ... ], ...]  takes; all windows of one take admit it or none is touched
-- ARGV[2]  JSON: [[key index, slot, change, window ms], ...]          corrections of earlier takes
-- Answers  JSON: [[admitted 0|1, [used, ms until it would fit, ms until all is back, slot], ...], ...]
local SLOTS = 12
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function slot_of(moment, window)
    return math.floor(moment * SLOTS / window)
end

-- The instant at which everything taken in a slot is older than the window.
local function leaves_at(slot, window)
    return (slot + 1) * window / SLOTS + window
end

local function by_age(a, b)
    return a[1] < b[1]
end

-- Live slots from old to new, and their sum.
local function read(key, window)
    local oldest = slot_of(now - window, window)
    local fields, slots, used = redis.call('HGETALL', key), {}, 0
    for i = 1, #fields, 2 do
        local slot, amount = tonumber(fields[i]), tonumber(fields[i + 1])
        if slot < oldest then
            redis.call('HDEL', key, fields[i])
        else
            slots[#slots + 1] = {slot, amount}
            used = used + amount
        end
    end
    table.sort(slots, by_age)
    return slots, used
end

-- How long until `missing` has left the window.
local function wait_for(missing, slots, window)
    for _, entry in ipairs(slots) do
        missing = missing - entry[2]
        if missing <= 0 then
            return math.max(1, math.ceil(leaves_at(entry[1], window) - now))
        end
    end
    return window
end

local function add(key, slot, amount, window)
    redis.call('HINCRBY', key, slot, amount)
    redis.call('PEXPIRE', key, window + math.ceil(2 * window / SLOTS))
end

for _, correction in ipairs(cjson.decode(ARGV[2])) do
    local key, slot, change, window = KEYS[correction[1]], correction[2], correction[3], correction[4]
    if change > 0 then
        add(key, slot_of(now, window), change, window)
    elseif redis.call('HEXISTS', key, slot) == 1 then
        redis.call('HINCRBY', key, slot, change)
    end
end

local answers = {}
for _, take in ipairs(cjson.decode(ARGV[1])) do
    local admitted, states = 1, {}
    for i, want in ipairs(take) do
        local limit, window = want[2], want[4]
        local slots, used = read(KEYS[want[1]], window)
        -- A single call larger than the whole limit needs the whole window to itself; otherwise it could never run.
        local cost = math.min(want[3], limit)
        local missing = used + cost - limit
        local wait = 0
        if limit == 0 then
            wait = window
        elseif missing > 0 then
            wait = wait_for(missing, slots, window)
        end
        if wait > 0 then
            admitted = 0
        end
        local newest = slots[#slots]
        local back = newest and math.max(0, math.ceil(leaves_at(newest[1], window) - now)) or 0
        states[i] = {used, wait, back, slot_of(now, window)}
    end
    if admitted == 1 then
        for i, want in ipairs(take) do
            local cost, window = math.min(want[3], want[2]), want[4]
            add(KEYS[want[1]], states[i][4], cost, window)
            states[i][1] = states[i][1] + cost
            states[i][3] = math.ceil(leaves_at(states[i][4], window) - now)
        end
    end
    answers[#answers + 1] = {admitted, unpack(states)}
end
return cjson.encode(answers)
