---@meta video
--- Films: their frames, decoded by ffmpeg as a child process that may open nothing but the film.
---
---     local film, err = video.open("/clips/walk.mp4")
---     if not film then return nil, err end
---     while true do
---       local frame, time = film:read()
---       if not frame then err = time break end
---       session:push(frame, time)
---       frame:close()
---     end
---     film:close()
local M = {}

---@class stance.video
local video = {}

---@class stance.video_options
---@field every? integer gives every n-th frame, from the first; default 1

--- Opens a film that this process may read (as `fs` paths). Waits. What is no film is told by the first `read`. Errors:
--- `unsupported` (there is no ffmpeg), `not_found`, `denied`, `invalid` (a folder).
---@param path string
---@param options? stance.video_options
---@return stance.video|nil, table|nil err
function M.open(path, options) end

--- The next frame, upright, and its time in seconds; nil after the last one; nil and an error. Waits. Errors: `corrupt`
--- (with ffmpeg's last words), `too_large`, `timeout` (ffmpeg gave nothing for a minute), `cancelled` (closed meanwhile).
---@return stance.image|nil frame, number|table|nil time_or_err
function video:read() end

--- Ends ffmpeg. May be repeated.
function video:close() end

return M
