--[[
Epochs of rooms. One begins with the milliseconds at which it began, in 13 digits, so that a later one is greater, as a number and as a
text: whoever hears of an earlier one later knows that it is over (room-order.ts).
]]

local function epoch_time (epoch) return tonumber(string.match(epoch, '^(%d+)%.')) or 0 end

-- Later than those that are given, which may be ''. The rest of it keeps apart what two servers begin.
local function new_epoch (rest, known, current)
  local time = redis.call('TIME')
  local ms = math.max(time[1] * 1000 + math.floor(time[2] / 1000), epoch_time(known) + 1, epoch_time(current) + 1)
  return string.format('%013.0f', ms) .. '.' .. rest
end

-- Whether a room stands before where a node knows it to be: this server lacks something, and offsets would mean two things.
local function is_behind (epoch, offset, known, known_offset)
  if known == '' then return false end
  if epoch == known then return tonumber(offset) < known_offset end
  return epoch_time(epoch) <= epoch_time(known)
end

-- Epoch and offset of a room; nothing for one that is not known. What is there and is no position, or of another type, goes.
local function position_of (meta)
  local found = redis.pcall('HMGET', meta, 'e', 'o')
  local isPosition = not found.err and found[1] and string.match(found[2] or '', '^%d+$')
  if isPosition then return found[1], found[2] end
  if found.err or found[1] or found[2] then redis.call('DEL', meta) end
end
