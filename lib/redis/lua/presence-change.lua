--[[
  Changes who is in some rooms of one partition, what they are doing, and who watches: steps, in their order. What has expired
  there is removed first. Of the changes in rooms that somebody watches an entry of the bus tells.

  KEYS    1 bus
          2 batches
          then for each room: presence, presenceIndex, states, watchers
  ARGV    1 id of the node
          2 milliseconds after which what is not renewed is forgotten
          3 entries of the bus, about as many as are kept
          4 of what has expired, how many may be removed; 0: nothing is
          5 time in milliseconds after which nothing is: all of it may have expired only because Redis has stood still
          6 how many rooms
          then their names
          then for each step: its kind, the number of its room (from 1 on), a packed pair, milliseconds
            e  user and connection enter, or are renewed
            l  user and connection leave
            s  user and key: a state that ends after these milliseconds, or now with 0
            w  the node watches the room, or goes on to
            u  it does so no longer
  Output  1  time in milliseconds
          2  0, or 1 when there is more that is to be removed
          then for each step 1 when it has changed something, else 0; of `w`: 0 when the node was watching before
]]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local node, ttl, kept, most, count = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[6])
if now > tonumber(ARGV[5]) then most = 0 end

local changes = {}
local told

-- For the entry of the bus: fields of a room follow its name.
local function tell (room, name, ...)
  if not room.isWatched then return end
  if told ~= room then
    changes[#changes + 1] = 'r'
    changes[#changes + 1] = room.name
    told = room
  end
  changes[#changes + 1] = name
  for _, value in ipairs({ ... }) do changes[#changes + 1] = value end
end

-- What the index has of the user of a packed pair: 'c' connections, 's' states. Nobody else's begins with its length and itself.
local function ofUser (room, kind, pair, limit)
  local digits = string.match(pair, '^%d+')
  local prefix = kind .. string.sub(pair, 1, #digits + 1 + tonumber(digits))
  return redis.call('ZRANGE', room.index, '[' .. prefix, '(' .. prefix .. '\255', 'BYLEX', 'LIMIT', 0, limit)
end

local function endState (room, pair)
  redis.call('ZREM', room.index, 's' .. pair)
  return redis.call('ZREM', room.states, pair)
end

-- Whether its user is here with another connection that has not expired.
local function isHereToo (room, pair)
  for _, entry in ipairs(ofUser(room, 'c', pair, -1)) do
    local other = string.sub(entry, 2)
    local expiry = other ~= pair and redis.call('ZSCORE', room.members, other)
    if expiry and tonumber(expiry) > now then return true end
  end
  return false
end

local function enter (room, pair)
  local isNew = redis.call('ZADD', room.members, now + ttl, pair)
  -- Each time: should one of the two keys be lost, the next renewal makes it whole.
  redis.call('ZADD', room.index, 0, 'c' .. pair)
  room.isRenewed = true
  if isNew == 0 then return 0 end
  local states = ofUser(room, 's', pair, -1)
  -- Its other connections have all expired, and nobody has removed them yet: a state does not come back with the user.
  if #states > 0 and not isHereToo(room, pair) then
    for _, entry in ipairs(states) do
      endState(room, string.sub(entry, 2))
      tell(room, 'x', string.sub(entry, 2))
    end
  end
  tell(room, '+', pair)
  return 1
end

local function leave (room, pair)
  local removed = redis.call('ZREM', room.members, pair) + redis.call('ZREM', room.index, 'c' .. pair)
  if removed == 0 then return 0 end
  if #ofUser(room, 'c', pair, 1) == 0 then
    for _, entry in ipairs(ofUser(room, 's', pair, -1)) do endState(room, string.sub(entry, 2)) end
  end
  tell(room, '-', pair)
  return 1
end

local function setState (room, pair, milliseconds)
  if milliseconds == 0 then
    local ended = endState(room, pair)
    if ended == 1 then tell(room, 'x', pair) end
    return ended
  end
  if #ofUser(room, 'c', pair, 1) == 0 then return 0 end
  redis.call('ZADD', room.states, now + milliseconds, pair)
  redis.call('ZADD', room.index, 0, 's' .. pair)
  room.hasStates = true
  tell(room, 's', pair, 't', string.format('%.0f', milliseconds))
  return 1
end

local function isWatched (room) return redis.call('ZCOUNT', room.watchers, '(' .. now, '+inf') > 0 end

local function watch (room)
  local before = redis.call('ZSCORE', room.watchers, node)
  redis.call('ZREMRANGEBYSCORE', room.watchers, '-inf', now)
  redis.call('ZADD', room.watchers, now + ttl, node)
  if redis.call('PTTL', room.watchers) < ttl then redis.call('PEXPIRE', room.watchers, ttl) end
  room.isWatched = true
  if before and tonumber(before) > now then return 0 end
  return 1
end

local function unwatch (room)
  local removed = redis.call('ZREM', room.watchers, node)
  room.isWatched = isWatched(room)
  return removed
end

-- The keys outlive what is in them by as long again, so that whoever watches finds it, and tells that it is gone.
local function keep (room)
  if not room.isRenewed and not room.hasStates then return end
  local till = redis.call('PEXPIRETIME', room.members)
  if room.isRenewed then till = math.max(till, now + 2 * ttl) end
  for _, key in ipairs({ room.members, room.index, room.states }) do redis.call('PEXPIREAT', key, till) end
end

local budget = most

local function sweep (room)
  local gone = redis.call('ZRANGE', room.members, '-inf', now, 'BYSCORE', 'LIMIT', 0, budget)
  for _, pair in ipairs(gone) do leave(room, pair) end
  budget = budget - #gone
  -- Every node knows by itself when a state ends.
  local over = redis.call('ZRANGE', room.states, '-inf', now, 'BYSCORE', 'LIMIT', 0, budget)
  for _, pair in ipairs(over) do endState(room, pair) end
  budget = budget - #over
end

local rooms = {}
for i = 1, count do
  local first = 4 * i - 1
  local room = { name = ARGV[6 + i], members = KEYS[first], index = KEYS[first + 1], states = KEYS[first + 2], watchers = KEYS[first + 3] }
  room.isWatched = isWatched(room)
  rooms[i] = room
  if budget > 0 then sweep(room) end
end

local output = { now, (most > 0 and budget == 0) and 1 or 0 }
for i = 7 + count, #ARGV, 4 do
  local kind, room, pair = ARGV[i], rooms[tonumber(ARGV[i + 1])], ARGV[i + 2]
  local changed
  if kind == 'e' then changed = enter(room, pair)
  elseif kind == 'l' then changed = leave(room, pair)
  elseif kind == 's' then changed = setState(room, pair, tonumber(ARGV[i + 3]))
  elseif kind == 'w' then changed = watch(room)
  else changed = unwatch(room) end
  output[#output + 1] = changed
end
for _, room in ipairs(rooms) do keep(room) end

if #changes > 0 then
  local number = redis.call('HINCRBY', KEYS[2], '#', 1)
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', kept, '*', 's', number, 'n', node, 'k', 'p', '#', number, unpack(changes))
end
return output
