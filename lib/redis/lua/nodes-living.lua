--[[
  The nodes that live.

  KEYS[1]  nodes by their last sign of life: sorted set

  ARGV[1]  milliseconds without a sign of life after which a node is dead

  Output   their ids
]]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGE', KEYS[1], '(' .. now - ARGV[1], '+inf', 'BYSCORE')
