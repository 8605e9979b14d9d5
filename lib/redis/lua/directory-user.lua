--[[
  The living connections of a user.

  KEYS[1]  stem
  KEYS[2]  ids of the user's connections by the time at which they are forgotten: sorted set

  Output   entries
]]
local entries = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], '(' .. now, '+inf', 'BYSCORE')) do
  table.insert(entries, entryOf(KEYS[1], id))
end
return entries
