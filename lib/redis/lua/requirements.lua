--[[
  Which commands the user of this connection may not run, by what they would be run with. One that has been renamed, nobody may.

  ARGV[1]  JSON: a list of commands, each a list of its name and arguments; keys among them are not accessed

  Output   numbers of those that it may not run, from 1 on
]]
local refused = {}
-- What is like Redis may have no such question; then it is not asked.
if not redis.acl_check_cmd then return refused end
for i, command in ipairs(cjson.decode(ARGV[1])) do
  local isKnown, isAllowed = pcall(redis.acl_check_cmd, unpack(command))
  if not (isKnown and isAllowed) then table.insert(refused, i) end
end
return refused
