--[[
  Who is in a room, and what they are doing. What has expired is left out, be it still there.

  KEYS    1 presence
          2 presenceIndex
          3 states
          4 batches
  ARGV    1 which of them: `m` members, `s` states, `ms` both
  Output  1 number of the latest entry of the bus: what it and those before it tell is in here
          2 members: packed pairs of user and connection
          3 states: packed pairs of user and key, each followed by the milliseconds that are left of it
]]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local living = '(' .. now

local here = {}

-- Whether the user of a packed pair has a connection here that has not expired.
local function isHere (pair)
  local digits = string.match(pair, '^%d+')
  local user = string.sub(pair, 1, #digits + 1 + tonumber(digits))
  if here[user] == nil then
    here[user] = false
    for _, entry in ipairs(redis.call('ZRANGE', KEYS[2], '[c' .. user, '(c' .. user .. '\255', 'BYLEX')) do
      local expiry = redis.call('ZSCORE', KEYS[1], string.sub(entry, 2))
      if expiry and tonumber(expiry) > now then
        here[user] = true
        break
      end
    end
  end
  return here[user]
end

local members, states = {}, {}
if string.find(ARGV[1], 'm', 1, true) then members = redis.call('ZRANGE', KEYS[1], living, '+inf', 'BYSCORE') end
if string.find(ARGV[1], 's', 1, true) then
  local found = redis.call('ZRANGE', KEYS[3], living, '+inf', 'BYSCORE', 'WITHSCORES')
  for i = 1, #found, 2 do
    if isHere(found[i]) then
      states[#states + 1] = found[i]
      states[#states + 1] = tonumber(found[i + 1]) - now
    end
  end
end
return { tonumber(redis.call('HGET', KEYS[4], '#') or 0), members, states }
