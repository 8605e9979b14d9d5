#!lua flags=allow-oom
--[[
  A node lives, also while there is no memory: for those who live already this takes none.

  KEYS[1]  nodes by their last sign of life: sorted set

  ARGV[1]  id of the node

  Output   { time of Redis in milliseconds, what stood there: null when it was not there, negative when it was taken for dead }
]]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
return { now, before }
