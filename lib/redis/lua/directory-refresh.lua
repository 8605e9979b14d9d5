--[[
  Renews connections of one partition. Only what is still there: a connection that somebody has removed does not come back.

  KEYS[1]  fence
  KEYS[2]  mark
  KEYS[3]  and so on, of each connection: itself, a hash; and, unless it is anonymous, the ids of its user's connections, a sorted set

  ARGV[1]  milliseconds until they are forgotten, unless they are renewed
  ARGV[2]  the highest fence of the partition that this node has seen
  ARGV[3]  a mark, should the partition have none
  ARGV[4]  and so on, of each connection: its id, the number of its keys, its lastSeen

  Output   { fence, world, time of Redis in milliseconds, those that are missing: numbers from 1 }
]]
local missing = {}
local key = 3
for i = 4, #ARGV, 3 do
  if redis.call('PEXPIRE', KEYS[key], ARGV[1]) == 1 then
    redis.call('HSET', KEYS[key], 'lastSeen', ARGV[i + 2])
    if ARGV[i + 1] == '2' then
      redis.call('ZADD', KEYS[key + 1], now + ARGV[1], ARGV[i])
      redis.call('PEXPIRE', KEYS[key + 1], ARGV[1])
    end
  else
    table.insert(missing, (i - 1) / 3)
  end
  key = key + ARGV[i + 1]
end
-- Should Redis have lost it, it is known again before somebody who has not seen it needs one.
local fence = storeFence(KEYS[1], storedFence(KEYS[1], ARGV[2]))
return { fence, worldOf(KEYS[2], ARGV[3]), now, missing }
