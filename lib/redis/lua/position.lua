--[[
Where rooms stand. One that is not known begins.

KEYS
  1     batches of the bus
  then, for each room:
  2, 4, ...  meta
  3, 5, ...  log
ARGV
  1     rest of the epoch of rooms that begin: epoch-shared.lua
  then, for each room:
        epoch and offset as far as the node knows ('' and 0: it does not)
        ttl of its meta (ms); 0: no limit
Output
  the number of the latest entry of the bus; epoch and offset of each room
]]
local positions = { redis.call('HGET', KEYS[1], '#') or '0' }
for key = 2, #KEYS, 2 do
  local arg = 2 + (key - 2) / 2 * 3
  local known, knownOffset, lasting = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local epoch, offset = position_of(KEYS[key])
  if not epoch or is_behind(epoch, offset, known, knownOffset) then
    epoch, offset = new_epoch(ARGV[1], known, epoch or ''), '0'
    redis.call('DEL', KEYS[key + 1])
    redis.call('HSET', KEYS[key], 'e', epoch, 'o', 0)
  end
  -- It may have had an end before: another policy, until the application was started anew.
  if lasting > 0 then redis.call('PEXPIRE', KEYS[key], lasting) else redis.call('PERSIST', KEYS[key]) end
  positions[#positions + 1] = epoch
  positions[#positions + 1] = offset
end
return positions
