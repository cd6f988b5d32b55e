---@meta ws

--- WebSockets: whole messages, both ways. A server's come from `request:upgrade` (see `http`) or a `route.ws` (see `stance.http`).
---
---     local socket = assert(ws.connect("ws://127.0.0.1:5001/api/events?after=17"))
---     for message in function() return (socket:receive()) end do print(message) end
---
--- A socket that is collected as garbage is cut.
local ws = {}

---@class ws.ConnectOptions
---@field protocols? string      "pose.v1.bin, pose.v1": subprotocols, the best first
---@field headers? table<string, string>
---@field timeout? number        seconds until it is open; 10
---@field message_limit? integer bytes; 1 MiB
---@field send_budget? integer   bytes that may wait; 1 MiB
---@field ping? number           seconds between pings; 20; negative: none

--- Opens a WebSocket; ws:// only (code "unsupported" for wss). Waits. Code "upstream" when nobody is there or the server refuses.
---@param url string
---@param options? ws.ConnectOptions
---@return ws.Socket? socket
---@return stance.Error? err
function ws.connect(url, options) end

---@class ws.Socket
local Socket = {}

--- Queues a message; does not wait. Text (without `binary`) must be UTF-8, else code "invalid". Code "closed" when it is closed, also for
--- having been too slow.
---@param message string
---@param binary? boolean
---@return boolean? ok
---@return stance.Error? err
function Socket:send(message, binary) end

--- The next message, and whether it is binary. Waits at most `timeout` seconds (nil: without end; 0: not at all), then code "timeout". Code
--- "closed" when no more will come; the error has `close_code` (1005: none given, 1006: broken off) and `reason` then.
---@param timeout? number
---@return string? message
---@return boolean|stance.Error|nil binary_or_err
function Socket:receive(timeout) end

--- Waits until all that was sent is with the kernel.
---@return boolean? ok
---@return stance.Error? err
function Socket:drain() end

--- Sends what is queued, then the close frame. Codes: 1000 (default) to 1011, 3000 to 4999.
---@param code? integer
---@param reason? string  at most 123 bytes
function Socket:close(code, reason) end

--- Bytes that wait to be sent.
---@return integer
function Socket:buffered() end

---@return boolean
function Socket:is_open() end

--- The subprotocol agreed on.
---@return string?
function Socket:protocol() end

--- Many sockets that are sent the same: a message is checked, framed and kept once, however many get it, and all that a socket has
--- waiting leaves with one system call when the present turn of the loop ends. Each socket keeps its own limits: one that is too slow is
--- closed (1008), or loses its oldest messages (`drop_oldest`), and the others do not notice.
---
---     local watchers = ws.group()
---     watchers:add(socket)               -- in its handler, which then receives until the socket is closed
---     watchers:send(json.encode(event))  -- to all
---
--- A group keeps no socket open and holds no reference to it: a socket leaves when it begins to close, or is collected.
---@return ws.Group
function ws.group() end

---@class ws.Group
local Group = {}

--- Adding a member again changes nothing. Code "closed" when the socket is closed or closing.
---@param socket ws.Socket
---@return boolean? ok
---@return stance.Error? err
function Group:add(socket) end

---@param socket ws.Socket
---@return boolean was_member
function Group:remove(socket) end

--- Queues a message for each member; does not wait. Keeps its order with what `socket:send` sends. Text (without `binary`) must be UTF-8,
--- else code "invalid".
---@param message string
---@param binary? boolean
---@return integer? reached  members that it is queued for
---@return stance.Error? err
function Group:send(message, binary) end

--- Members.
---@return integer
function Group:count() end

--- Closes each member, as `socket:close`, and the group: it takes nobody and nothing any more.
---@param code? integer
---@param reason? string
function Group:close(code, reason) end

return ws
