--[[
  Changes who is in some rooms of one partition, what they are doing, and who watches: steps, in their order. Who is in a room is
  there for as long as its node lives: under a number that the node has for this partition, and renews. What a dead node has left
  there is removed first. Of the changes in rooms that somebody watches an entry of the bus tells.

  KEYS    1 bus
          2 batches
          3 lives
          then for each room: presence, presenceIndex, states, watchers
  ARGV    1 id of the node
          2 number of its life, which this call renews; 0: it does not
          3 1 when that may begin with this call, else 0
          4 milliseconds after which a life, or who watches, is over when it was not renewed; 0: the life ends now
          5 milliseconds for which the keys of a room outlive who has entered last
          6 entries of the bus, about as many as are kept
          7 of what the dead have left, how many may be removed; 0: nothing is
          8 time in milliseconds after which nothing is: they may look dead only because Redis has stood still
          9 how many rooms
          then their names
          then for each step: its kind, the number of its room (from 1 on), a packed pair, milliseconds
            e  user and connection enter, or do so again
            l  user and connection leave
            s  user and key: a state that ends after these milliseconds, or now with 0
            w  the node watches the room, or goes on to
            u  it does so no longer
  Output  1  time in milliseconds
          2  0, or 1 when there is more that is to be removed
          3  0, or 1 when the life is over: then nothing was done, and the node needs another number
          then for each step 1 when it has changed something, else 0; of `w`: 0 when the node was watching before
]]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local node, life, ttl, kept = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local most, count, lives = tonumber(ARGV[7]), tonumber(ARGV[9]), KEYS[3]
if now > tonumber(ARGV[8]) then most = 0 end

if life ~= '0' then
  local till = redis.call('ZSCORE', lives, life)
  local isOver = till and tonumber(till) <= now or not till and ARGV[3] == '0'
  -- Others may have been told already that all who were there have left: it does not come to life again.
  if isOver then return { now, 0, 1 } end
end

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

local living = {}

-- Whether the life with this number, as a score says it, is not over.
local function isLiving (score)
  local number = string.format('%.0f', tonumber(score))
  if number == life then return true end
  if living[number] == nil then
    local till = redis.call('ZSCORE', lives, number)
    living[number] = till and tonumber(till) > now or false
  end
  return living[number]
end

-- Whether its user is here with another connection.
local function isHereToo (room, pair)
  for _, entry in ipairs(ofUser(room, 'c', pair, -1)) do
    local other = string.sub(entry, 2)
    local number = other ~= pair and redis.call('ZSCORE', room.members, other)
    if number and isLiving(number) then return true end
  end
  return false
end

local function enter (room, pair)
  local before = redis.call('ZSCORE', room.members, pair)
  redis.call('ZADD', room.members, life, pair)
  -- Each time: should one of the two keys be lost, the next time makes it whole.
  redis.call('ZADD', room.index, 0, 'c' .. pair)
  room.isEntered = true
  -- Of a dead node nobody knows whether somebody was told that it has left.
  if before and isLiving(before) then return 0 end
  local states = before and {} or ofUser(room, 's', pair, -1)
  -- Its other connections are those of dead nodes, and nobody has removed them yet: a state does not come back with the user.
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

-- The keys outlive who is there, so that whoever watches finds what a dead node has left, and tells that it is gone.
local function keep (room)
  if not room.isEntered and not room.hasStates then return end
  local till = room.isEntered and -1 or redis.call('PEXPIRETIME', room.members)
  if till < 0 then till = now + kept end
  for _, key in ipairs({ room.members, room.index, room.states }) do redis.call('PEXPIREAT', key, till) end
end

local budget = most
local dead = most > 0 and redis.call('ZRANGE', lives, '-inf', now, 'BYSCORE') or {}

local function sweep (room)
  for _, number in ipairs(dead) do
    if budget == 0 then return end
    local gone = redis.call('ZRANGE', room.members, number, number, 'BYSCORE', 'LIMIT', 0, budget)
    for _, pair in ipairs(gone) do leave(room, pair) end
    budget = budget - #gone
  end
  -- Every node knows by itself when a state ends.
  local over = redis.call('ZRANGE', room.states, '-inf', now, 'BYSCORE', 'LIMIT', 0, budget)
  for _, pair in ipairs(over) do endState(room, pair) end
  budget = budget - #over
end

local rooms = {}
for i = 1, count do
  local first = 4 * i
  local room = { name = ARGV[9 + i], members = KEYS[first], index = KEYS[first + 1], states = KEYS[first + 2], watchers = KEYS[first + 3] }
  room.isWatched = isWatched(room)
  rooms[i] = room
  if budget > 0 then sweep(room) end
end

local output = { now, (most > 0 and budget == 0) and 1 or 0, 0 }
for i = 10 + count, #ARGV, 4 do
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

-- Behind the steps: who leaves needs no memory, and Redis lets a script go on that has begun.
if life ~= '0' then
  if ttl > 0 then redis.call('ZADD', lives, now + ttl, life) else redis.call('ZREM', lives, life) end
  -- By then nothing is left of it in any room.
  redis.call('ZREMRANGEBYSCORE', lives, '-inf', now - kept)
  redis.call('PEXPIREAT', lives, now + ttl + kept)
end

if #changes > 0 then
  local number = redis.call('HINCRBY', KEYS[2], '#', 1)
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[6], '*', 's', number, 'n', node, 'k', 'p', '#', number, unpack(changes))
end
return output
