--[[
Publishes a batch: gives each publication its offset, keeps it where its room keeps any, and puts the batch on the bus.
A batch that was done already is not done again: its answer is given once more.

KEYS
  1     the bus
  2     its batches
  then, for each room in which a publication takes an offset:
  3, 5, ...  meta
  4, 6, ...  log
ARGV
  1     the node
  2     number of the batch: more than that of every batch of this node on this bus before
  3     entries that the bus keeps, about
  4     rest of the epoch of rooms that begin: epoch-shared.lua
  5     the batch
  then, for each of these rooms:
        epoch and offset as far as the node knows ('' and 0: it does not)
        how many publications take an offset
        size and ttl (ms) of its log, and ttl (ms) of its meta; 0: none is kept, no limit
        with a log, for each: first and last byte in the batch, counted from 1
Output
  joined by spaces: epoch and offset of the last publication of each of these rooms; false for a batch before the last one
]]
local node, batch = ARGV[1], tonumber(ARGV[2])
local done = redis.call('HGET', KEYS[2], node)
if done then
  local number, answer = string.match(done, '^(%d+) (.*)$')
  number = tonumber(number)
  if number == batch then return answer end
  if number > batch then return false end
end

local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
local run = this_run()
local positions = {}
local arg = 6
for key = 3, #KEYS, 2 do
  local meta, log = KEYS[key], KEYS[key + 1]
  local known, knownOffset, count = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local size, ttl, lasting = tonumber(ARGV[arg + 3]), tonumber(ARGV[arg + 4]), tonumber(ARGV[arg + 5])
  arg = arg + 6
  local epoch, offset, given = position_of(meta)
  if not epoch then epoch, offset, given = begin(meta, log, ARGV[4], known), 0, run end
  local isBehind = is_behind(meta, epoch, held_of(meta, epoch, offset, known), known, knownOffset)
  if isBehind or given ~= run then epoch = turn(meta, epoch, offset, ARGV[4], known, not isBehind) end
  offset = redis.call('HINCRBY', meta, 'o', count)
  -- It may have had an end before: another policy, until the application was started anew.
  if lasting > 0 then redis.call('PEXPIRE', meta, lasting) else redis.call('PERSIST', meta) end
  if size > 0 then
    for i = offset - count + 1, offset do
      -- %.0f, because %d is of 32 bits in some builds.
      local id, record = string.format('%.0f', i) .. '-' .. now, string.sub(ARGV[5], tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]))
      -- What is too much goes with the last one.
      local added = i < offset and redis.pcall('XADD', log, id, 'p', record) or redis.pcall('XADD', log, 'MAXLEN', size, id, 'p', record)
      if type(added) == 'table' and added.err then
        -- It has more than the room, or is none: whoever did that, what is kept of the room begins here.
        redis.call('DEL', log)
        redis.call('XADD', log, id, 'p', record)
      end
      arg = arg + 2
    end
    if ttl > 0 then redis.call('PEXPIRE', log, ttl) else redis.call('PERSIST', log) end
  end
  positions[#positions + 1] = epoch .. ' ' .. string.format('%.0f', offset)
end

local last = table.concat(positions, ' ')
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 's', redis.call('HINCRBY', KEYS[2], '#', 1), 'n', node, 'k', 'm', 'o', last, 'b', ARGV[5])
-- When it is on the bus: it would be taken for done otherwise, where Redis has refused that.
redis.call('HSET', KEYS[2], node, ARGV[2] .. ' ' .. last)
return last
