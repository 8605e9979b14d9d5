--[[
  Who is in a room, and what they are doing. What dead nodes have left is left out, be it still there.

  KEYS    1 presence
          2 presenceIndex
          3 states
          4 batches
          5 lives
  ARGV    1 which of them: `m` members, `s` states, `ms` both
  Output  1 number of the latest entry of the bus: what it and those before it tell is in here
          2 members: for each node a list of packed pairs of user and connection
          3 states: packed pairs of user and key, each followed by the milliseconds that are left of it
]]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lives = redis.call('ZRANGE', KEYS[5], '(' .. now, '+inf', 'BYSCORE')

local living = {}
for _, number in ipairs(lives) do living[tonumber(number)] = true end

local here = {}

-- Whether the user of a packed pair has a connection here whose node lives.
local function isHere (pair)
  local digits = string.match(pair, '^%d+')
  local user = string.sub(pair, 1, #digits + 1 + tonumber(digits))
  if here[user] == nil then
    here[user] = false
    for _, entry in ipairs(redis.call('ZRANGE', KEYS[2], '[c' .. user, '(c' .. user .. '\255', 'BYLEX')) do
      local number = redis.call('ZSCORE', KEYS[1], string.sub(entry, 2))
      if number and living[tonumber(number)] then
        here[user] = true
        break
      end
    end
  end
  return here[user]
end

local members, states = {}, {}
if string.find(ARGV[1], 'm', 1, true) then
  for i, number in ipairs(lives) do members[i] = redis.call('ZRANGE', KEYS[1], number, number, 'BYSCORE') end
end
if string.find(ARGV[1], 's', 1, true) then
  local found = redis.call('ZRANGE', KEYS[3], '(' .. now, '+inf', 'BYSCORE', 'WITHSCORES')
  for i = 1, #found, 2 do
    if isHere(found[i]) then
      states[#states + 1] = found[i]
      states[#states + 1] = tonumber(found[i + 1]) - now
    end
  end
end
return { tonumber(redis.call('HGET', KEYS[4], '#') or 0), members, states }
