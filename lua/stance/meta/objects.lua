---@meta objects

--- Bytes kept under the SHA-256 of their contents: artifacts, inputs, anything large that does not change.
---
---     local objects = require "objects"
---     local object = assert(objects.put(png))              -- { hash = "2cf2...", size = 48213, modified = ... }
---     local file = assert(objects.open(object.hash))       -- a stance.file, to read or to send
---
--- An object is whole or absent: it is written aside, synced, and renamed into place before a call returns. Contents that are there
--- already are not written again. Every call but `abort` waits in its fiber, while a pool thread works. Errors: "not_found",
--- "no_space", "corrupt" (contents that no longer have their hash), "too_large", "io", "busy" (two fibers on one
--- writer, or too many open files). A hash that is none raises.
local objects = {}

---@class objects.Info
---@field hash string  64 lower-case hex digits
---@field size integer  bytes
---@field modified number  when it was last put, seconds since 1970

---@param bytes string
---@return objects.Info? object
---@return stance.Error? err
function objects.put(bytes) end

--- For contents that come in pieces. One that is dropped without `commit` leaves nothing.
---@return objects.Writer? writer
---@return stance.Error? err
function objects.writer() end

---@class objects.Writer
local Writer = {}

--- After an error the writer has ended.
---@param bytes string
---@return true? ok
---@return stance.Error? err
function Writer:write(bytes) end

--- Ends the writer.
---@return objects.Info? object
---@return stance.Error? err
function Writer:commit() end

--- Ends the writer and forgets what it wrote. Safe to repeat.
function Writer:abort() end

--- It stays readable when the object is removed meanwhile.
---@param hash string
---@return stance.File? file
---@return stance.Error? err
function objects.open(hash) end

--- The whole contents, their hash verified.
---@param hash string
---@param limit? integer  bytes; default 64 MiB
---@return string? bytes
---@return stance.Error? err
function objects.read(hash, limit) end

---@param hash string
---@return objects.Info? object
---@return stance.Error? err
function objects.stat(hash) end

---@param hash string
---@return boolean? exists
---@return stance.Error? err
function objects.exists(hash) end

--- Reads it through: "corrupt" when its contents have changed.
---@param hash string
---@return true? ok
---@return stance.Error? err
function objects.verify(hash) end

---@param hash string
---@return true? ok
---@return stance.Error? err
function objects.remove(hash) end

--- Removes the objects that were last put before `before` and are not in `kept`. Puts of the same contents at the same time are safe.
---@param before number  seconds since 1970
---@param kept string[]  hashes
---@return integer? removed
---@return stance.Error? err
function objects.sweep(before, kept) end

return objects
