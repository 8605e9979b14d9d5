--[[
  Removes all connections that a user has at this moment: one step.

  KEYS[1]  fence
  KEYS[2]  stem
  KEYS[3]  ids of the user's connections by the time at which they are forgotten: sorted set

  ARGV[1]  the highest fence of the partition that this node has seen

  Output   { fence, removed entries }
]]
local removed = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], '(' .. now, '+inf', 'BYSCORE')) do
  table.insert(removed, entryOf(KEYS[2], id))
  redis.call('DEL', KEYS[2] .. id)
end
redis.call('DEL', KEYS[3])
return { storeFence(KEYS[1], nextFence(KEYS[1], ARGV[1])), removed }
