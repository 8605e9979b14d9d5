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
  the number of the latest entry of the bus; for each room its epoch, its offset, up to which offset positions of the epoch that the node
  knows are positions of it (-1: none is), and the offset behind which the first epoch began that this one goes on from
]]
local positions = { redis.call('HGET', KEYS[1], '#') or '0' }
for key = 2, #KEYS, 2 do
  local meta = KEYS[key]
  local arg = 2 + (key - 2) / 2 * 3
  local known, knownOffset, lasting = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local epoch, offset, _, start = position_of(meta)
  if not epoch then
    epoch, offset = begin(meta, KEYS[key + 1], ARGV[1], known)
    start = '0'
  end
  local held = held_of(meta, epoch, offset, known)
  if is_behind(meta, epoch, held, known, knownOffset) then
    epoch, held = turn(meta, epoch, offset, ARGV[1], known, false), -1
    start = string.format('%.0f', offset)
  end
  -- It may have had an end before: another policy, until the application was started anew.
  if lasting > 0 then redis.call('PEXPIRE', meta, lasting) else redis.call('PERSIST', meta) end
  positions[#positions + 1] = epoch
  positions[#positions + 1] = string.format('%.0f', offset)
  positions[#positions + 1] = string.format('%.0f', held)
  positions[#positions + 1] = start
end
return positions
