--[[
  Hands dead nodes over to the one node that clears away what they have left. Until that is done they stay there, by the time since
  when it is being done, as a negative number: should that node die of it, another one is given them. A node that lives after all
  finds that number when it renews itself.

  KEYS[1]  nodes by their last sign of life: sorted set

  ARGV[1]  id of the node that asks
  ARGV[2]  milliseconds without a sign of life after which a node is dead
  ARGV[3]  and so on: ids of nodes that it was given, and whose leavings are gone; before each of them what it was given with it

  Output   { what the following are given with, their ids }; nothing for a node that does not live itself
]]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i + 1]) == ARGV[i] then redis.call('ZREM', KEYS[1], ARGV[i + 1]) end
end
local ids = {}
local own = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '')
if own and now - own < tonumber(ARGV[2]) then
  local dead = redis.call('ZRANGE', KEYS[1], '-inf', now - ARGV[2], 'BYSCORE', 'WITHSCORES')
  for i = 1, #dead, 2 do
    local score = tonumber(dead[i + 1])
    if score > 0 or now + score >= tonumber(ARGV[2]) then table.insert(ids, dead[i]) end
  end
end
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], -now, id) end
return { string.format('%.0f', -now), ids }
