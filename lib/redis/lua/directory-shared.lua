--[[
  In front of each script of the directory. They have in common:

  fence   the place of the latest step for any user of a partition: string, a key of its own. It outlives its loss: it is at least
          the time of Redis in microseconds, and more than what any node that asks has seen
  mark    of a partition: string, a key of its own, random, set by whoever finds none, with the time at which that was
  world   another string than before when Redis may have lost data since: another mark, or another history of replication
          (after a failover, or a restart from what was on disk)
  entry   { id, user, device, node, ip, subprotocol, connectedAt, lastSeen }
  stem    what the keys of all connections of a partition begin with. The keys of a user's connections are made of it, and have
          its tag: their ids are not known before the script runs
]]
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)

local function storedFence (key, seen)
  return math.max(tonumber(redis.call('GET', key)) or 0, tonumber(seen))
end

local function storeFence (key, fence)
  local text = string.format('%.0f', fence)
  redis.call('SET', key, text)
  return text
end

local function nextFence (key, seen)
  return math.max(storedFence(key, seen) + 1, micros)
end

local function worldOf (key, mark)
  redis.call('SET', key, mark .. ' ' .. string.format('%.0f', now), 'NX')
  -- A user of Redis may not be allowed to ask.
  local info = redis.pcall('INFO', 'replication')
  return redis.call('GET', key) .. ' ' .. (type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or '')
end

local function entryOf (stem, id)
  local entry = redis.call('HMGET', stem .. id, 'user', 'device', 'node', 'ip', 'subprotocol', 'connectedAt', 'lastSeen')
  -- Every hash has a node.
  if not entry[3] then return nil end
  table.insert(entry, 1, id)
  return entry
end

local function enter (connection, user, id, ttl, fields)
  redis.call('DEL', connection)
  redis.call('HSET', connection, unpack(fields))
  redis.call('PEXPIRE', connection, ttl)
  if user then
    redis.call('ZADD', user, now + ttl, id)
    redis.call('PEXPIRE', user, ttl)
  end
end

-- Those of a user's connections whose place a login takes: of all, or of its own device.
local function inScope (user, stem, id, scope, device)
  local ids = {}
  if not user then return ids end
  redis.call('ZREMRANGEBYSCORE', user, '-inf', now)
  if scope == 'none' then return ids end
  for _, other in ipairs(redis.call('ZRANGE', user, 0, -1)) do
    if other ~= id and (scope == 'user' or redis.call('HGET', stem .. other, 'device') == device) then table.insert(ids, other) end
  end
  return ids
end

-- One of the fields of a hash, given as names and values in turns; false where there is none.
local function fieldOf (fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
  return false
end
