---@meta fs

--- Files, under the folders that this process was granted.
---
---     local fs = require "fs"
---     local text = assert(fs.read("workspace:notes.txt"))
---     assert(fs.write("output1:run/report.json", json.encode(report)))
---
--- A path is "FOLDER:path/in/it", with a name from `fs.roots()`, or an absolute one beneath a granted folder. The kernel
--- resolves it from that folder, so that "..", absolute links and links that lead out fail with code "denied"; relative links that stay
--- inside work. Every call but `roots` waits in its fiber, while a pool thread works. Errors: "not_found", "exists",
--- "denied" (outside, or a folder that may not be written), "invalid" (no regular file), "too_large", "no_space", "io".
local fs = {}

---@class fs.Root
---@field name string
---@field folder string  absolute
---@field writable boolean

---@return fs.Root[]
function fs.roots() end

--- The whole file.
---@param path string
---@param limit? integer  bytes; default 64 MiB
---@return string? bytes
---@return stance.Error? err
function fs.read(path, limit) end

--- Makes or replaces a file: at every moment the old or the new one is there whole. It is on disk when the call returns.
---@param path string
---@param bytes string
---@return true? ok
---@return stance.Error? err
function fs.write(path, bytes) end

--- Opens to read ("r"), or to write ("w"): then it is written aside, and takes its place at `close`.
---@param path string
---@param mode? "r"|"w"  default "r"
---@return stance.File? file
---@return stance.Error? err
function fs.open(path, mode) end

--- Writes an object out, as `fs.write` would.
---@param hash string
---@param path string
---@return true? ok
---@return stance.Error? err
function fs.copy_object(hash, path) end

---@class fs.Entry
---@field name string?  in lists only
---@field kind "file"|"folder"|"link"|"other"
---@field size integer  bytes
---@field modified number  seconds since 1970

--- Of what the path leads to, links followed.
---@param path string
---@return fs.Entry? entry
---@return stance.Error? err
function fs.stat(path) end

--- What a folder holds, by name; links are not followed. At most 100,000 entries.
---@param path string
---@return fs.Entry[]? entries
---@return stance.Error? err
function fs.list(path) end

--- Makes a folder and those above it; it may be there already.
---@param path string
---@return true? ok
---@return stance.Error? err
function fs.mkdir(path) end

--- Removes a file, a link, or an empty folder.
---@param path string
---@return true? ok
---@return stance.Error? err
function fs.remove(path) end

--- Renames within one file system; replaces a file of the new name.
---@param from string
---@param to string
---@return true? ok
---@return stance.Error? err
function fs.rename(from, to) end

--- An open file. One call at a time: a second fiber gets an error with code "busy". A closed file raises.
---@class stance.File
local File = {}

--- The next bytes, at most `count` (64 MiB at most); nil at the end. Without a count all that is left.
---@param count? integer
---@return string? bytes
---@return stance.Error? err
function File:read(count) end

--- Where the next read starts.
---@param offset integer  bytes from the start
---@return true? ok
---@return stance.Error? err
function File:seek(offset) end

---@param bytes string
---@return true? ok
---@return stance.Error? err
function File:write(bytes) end

--- Bytes: when it was opened, or written so far.
---@return integer
function File:size() end

--- Closes. A file that was written takes its place, on disk, unless a write had failed. Safe to repeat.
---@return true? ok
---@return stance.Error? err
function File:close() end

--- Closes; a file that was written is forgotten, as it is when it is dropped without `close`. Safe to repeat.
function File:discard() end

return fs
