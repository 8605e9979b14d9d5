--[[
  Removes all connections that a user has at this moment: one step.

  KEYS[1]  fence
  KEYS[2]  stem
  KEYS[3]  ids of the user's connections by the time at which they are forgotten: sorted set
  KEYS[4]  fence of the latest kick of the user: string

  ARGV[1]  the highest fence of the partition that this node has seen
  ARGV[2]  milliseconds for which the kick is known: to those, too, who are entered once more in that time

  Output   { fence, removed entries }
]]
local removed = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], '(' .. now, '+inf', 'BYSCORE')) do
  table.insert(removed, entryOf(KEYS[2], id))
  redis.call('DEL', KEYS[2] .. id)
end
redis.call('DEL', KEYS[3])
local fence = storeFence(KEYS[1], nextFence(KEYS[1], ARGV[1]))
redis.call('SET', KEYS[4], fence, 'PX', ARGV[2])
return { fence, removed }
