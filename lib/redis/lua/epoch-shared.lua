--[[
Epochs of rooms. One begins with the milliseconds at which it began, in 13 digits, so that a later one is greater, as a number and as a
text: whoever hears of an earlier one later knows that it is over (room-order.ts).

All offsets of an epoch are given by one run of one server: whatever a server lacks that was started again, or has become the master,
none is given twice. The first publication there begins an epoch that goes on from the one before, with the offsets as they are. Where a
node knows of more than the server has, something is lost: an epoch begins that goes on from none, and all are told.

A room is a hash: `e` epoch; `o` offset; `r` the run of the server that gives the offsets; `b` the offset behind which the first epoch
began that this one goes on from; and for each of the epochs before that this one goes on from, latest of all, its last offset.
]]

-- Of a room: who has heard nothing since there were as many others is told that it may have missed something.
local EPOCHS_BEFORE = 16

local function epoch_time (epoch) return tonumber(string.match(epoch, '^(%d+)%.')) or 0 end

-- It changes when a server is started, and when another one becomes the master; also when that gets its first replica, or has had none for
-- repl-backlog-ttl, which costs no more than an epoch. A part of it is enough, for it is kept with each room.
local function this_run ()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%w%w%w%w%w%w%w%w%w%w%w%w)') or error('INFO replication has no master_replid')
end

-- Later than those that are given, which may be ''. The rest of it keeps apart what is begun on one run, and the run what one batch begins on two.
local function new_epoch (rest, known, current)
  local time = redis.call('TIME')
  local ms = math.max(time[1] * 1000 + math.floor(time[2] / 1000), epoch_time(known) + 1, epoch_time(current) + 1)
  return string.format('%013.0f', ms) .. '.' .. rest .. this_run()
end

-- What the hash of a room has, in the order above; nothing for one that is not known. What is there and is no position, or of another type, goes.
local function position_of (meta)
  local found = redis.pcall('HMGET', meta, 'e', 'o', 'r', 'b')
  local isPosition = not found.err and found[1] and string.match(found[2] or '', '^%d+$')
  if isPosition then return found[1], tonumber(found[2]), found[3], found[4] or '0' end
  if found.err or found[1] or found[2] then redis.call('DEL', meta) end
end

-- Up to which offset positions of an epoch are positions of the room; -1: none of them is.
local function held_of (meta, epoch, offset, asked)
  if asked == epoch then return offset end
  -- The other fields are no epochs.
  return epoch_time(asked) > 0 and tonumber(redis.call('HGET', meta, asked) or nil) or -1
end

-- Epochs that this one goes on from, earliest first.
local function epochs_before (meta)
  local before = {}
  for _, field in ipairs(redis.call('HKEYS', meta)) do
    if epoch_time(field) > 0 then before[#before + 1] = field end
  end
  table.sort(before)
  return before
end

-- Whether this server lacks something that a node knows of.
local function is_behind (meta, epoch, held, known, known_offset)
  if known == '' then return false end
  if held >= 0 then return known_offset > held end
  -- Since the first of them began, no other one was: on this server.
  return epoch_time(known) >= epoch_time(epochs_before(meta)[1] or epoch)
end

-- A room that is not known.
local function begin (meta, log, rest, known)
  local epoch = new_epoch(rest, known, '')
  redis.call('DEL', log)
  redis.call('HSET', meta, 'e', epoch, 'o', 0, 'r', this_run())
  return epoch, 0
end

-- Another epoch of a room. It has the offsets, and the log, of the one before; whether it goes on from that is whether what is there is all that there was.
local function turn (meta, epoch, offset, rest, known, goesOn)
  local latest = new_epoch(rest, known, epoch)
  local before = epochs_before(meta)
  -- %.0f, because %d is of 32 bits in some builds.
  local place = string.format('%.0f', offset)
  for i = 1, goesOn and #before - EPOCHS_BEFORE + 1 or #before do
    redis.call('HSET', meta, 'b', redis.call('HGET', meta, before[i]))
    redis.call('HDEL', meta, before[i])
  end
  redis.call('HSET', meta, goesOn and epoch or 'b', place)
  redis.call('HSET', meta, 'e', latest, 'r', this_run())
  return latest
end
