--[[
Publishes batches, one for each of some partitions: gives each publication its offset, keeps it where its room keeps any, and puts
the batch on the bus. A batch that was done already is not done again: its answer is given once more.

KEYS  for each partition:
        its bus, and its batches
        then, for each room in which a publication takes an offset: meta, log
ARGV
  1     the node
  2     entries that a bus keeps, about
  3     rest of the epoch of rooms that begin: epoch-shared.lua
  4     how many partitions
  then, for each of them:
        number of the batch: more than that of every batch of this node in this partition before
        the batch
        in how many rooms a publication takes an offset
  then, for each of these rooms, partition by partition:
        epoch and offset as far as the node knows ('' and 0: it does not)
        how many publications take an offset
        size and ttl (ms) of its log, and ttl (ms) of its meta; 0: none is kept, no limit
        with a log, for each: first and last byte in the batch, counted from 1
Output
  an error that begins with TRYAGAIN, and nothing was done, while the server has just been started again, or has just become the master:
  it may lack what it had confirmed, and nodes that know of more have to say so before an offset is given a second time; else
  for each partition, joined by spaces: the number of the batch's entry of the bus, then epoch and offset of the last publication of each
  of these rooms; '' for a batch before the last one
]]
local node, length, rest, count = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
-- It changes when the server is started again, and when another one becomes the master. A user of Redis may not be allowed to ask.
local info = redis.pcall('INFO', 'replication')
local server = type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or '?'
-- Milliseconds within which all nodes have connected again, and compared their rooms (room-repair.ts).
local GRACE = 1500

local batches, isEarly, key = {}, false, 1
for i = 1, count do
  local batch = { key = key, number = tonumber(ARGV[2 + 3 * i]), bytes = ARGV[3 + 3 * i], rooms = tonumber(ARGV[4 + 3 * i]) }
  local done, run = unpack(redis.call('HMGET', KEYS[key + 1], node, '@'))
  local before, since = string.match(run or '', '^(%S+) (%d+)$')
  -- Or its clock was set back, as after the start of a machine: until it is where it was, nothing would be published.
  if before ~= server or tonumber(since) > tonumber(now) then
    since = run and now or 0
    redis.call('HSET', KEYS[key + 1], '@', server .. ' ' .. since)
  end
  if tonumber(now) - tonumber(since) < GRACE then isEarly = true end
  if done then
    local number, answer = string.match(done, '^(%d+) (.*)$')
    if tonumber(number) == batch.number then batch.answer = answer end
    if tonumber(number) > batch.number then batch.answer = '' end
  end
  batches[i] = batch
  key = key + 2 + 2 * batch.rooms
end
if isEarly then return redis.error_reply('TRYAGAIN the server was started again, and nodes compare what they have') end

-- The publications of one room. Returns where it stands then.
local function publish (batch, meta, log, arg)
  local known, knownOffset, count = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local size, ttl, lasting = tonumber(ARGV[arg + 3]), tonumber(ARGV[arg + 4]), tonumber(ARGV[arg + 5])
  local epoch, offset = unpack(redis.call('HMGET', meta, 'e', 'o'))
  if not epoch or is_behind(epoch, offset, known, knownOffset) then
    epoch, offset = new_epoch(rest, known, epoch or ''), count
    redis.call('DEL', log)
    redis.call('HSET', meta, 'e', epoch, 'o', count)
  else
    offset = redis.call('HINCRBY', meta, 'o', count)
  end
  -- It may have had an end before: another policy, until the application was started anew.
  if lasting > 0 then redis.call('PEXPIRE', meta, lasting) else redis.call('PERSIST', meta) end
  if size > 0 then
    for i = 1, count do
      -- %.0f, because %d is of 32 bits in some builds.
      local id = string.format('%.0f', offset - count + i) .. '-' .. now
      local record = string.sub(batch, tonumber(ARGV[arg + 4 + 2 * i]), tonumber(ARGV[arg + 5 + 2 * i]))
      local added = redis.pcall('XADD', log, 'MAXLEN', size, id, 'p', record)
      if type(added) == 'table' and added.err then
        -- It has more than the room, or is none: whoever did that, what is kept of the room begins here.
        redis.call('DEL', log)
        redis.call('XADD', log, id, 'p', record)
      end
    end
    if ttl > 0 then redis.call('PEXPIRE', log, ttl) else redis.call('PERSIST', log) end
  end
  return epoch .. ' ' .. string.format('%.0f', offset)
end

local answers, arg = {}, 5 + 3 * count
for i, batch in ipairs(batches) do
  local positions = {}
  for room = 1, batch.rooms do
    local log = batch.key + 1 + 2 * room
    if not batch.answer then positions[room] = publish(batch.bytes, KEYS[log - 1], KEYS[log], arg) end
    arg = arg + 6
    if tonumber(ARGV[arg - 3]) > 0 then arg = arg + 2 * tonumber(ARGV[arg - 4]) end
  end
  if not batch.answer then
    local bus, numbers, last = KEYS[batch.key], KEYS[batch.key + 1], table.concat(positions, ' ')
    local sequence = redis.call('HINCRBY', numbers, '#', 1)
    batch.answer = sequence .. ' ' .. last
    redis.call('XADD', bus, 'MAXLEN', '~', length, '*', 's', sequence, 'n', node, 'k', 'm', 'o', last, 'b', batch.bytes)
    -- When it is on the bus: it would be taken for done otherwise, where Redis has refused that.
    redis.call('HSET', numbers, node, batch.number .. ' ' .. batch.answer)
  end
  answers[i] = batch.answer
end
return answers
