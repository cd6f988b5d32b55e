---@meta http

--- HTTP: a server whose requests run in fibers, and a client. Routes are made with `stance.http`.
---
---     local server = assert(http.serve {
---       listen = "127.0.0.1:5001",
---       handler = function(request) return 200, { hello = request.query.name } end,
---     })
---     local answer, err = http.get(server:url() .. "/?name=ann")
---
--- The server speaks HTTP/1.1: keep-alive, pipelining, chunked bodies both ways. By itself it answers malformed requests (400), foreign
--- Hosts (421) and Origins (403), what is too large (413, 431), too slow (408) and too much (503), and CORS
--- preflights of allowed origins; problems are application/problem+json. A client that closes its sending half counts as gone.
local http = {}

---@class http.ServeOptions
---@field listen? string             "127.0.0.1:5001"; port 0 takes any. Default "127.0.0.1:0"
---@field handler fun(request: http.Request): integer?, any, table?
---@field hosts? string[]            Host names answered to besides loopback's and the listen address; "*": any
---@field origins? string[]          foreign origins that may send and open WebSockets: "https://example.org"; "*": any
---@field header_limit? integer      bytes of a request's head; 16 KiB
---@field body_limit? integer        bytes of a request's body; 1 GiB
---@field connection_limit? integer  beyond it 503, or cut; 10,000
---@field request_limit? integer     requests on one connection; 10,000
---@field header_timeout? number     seconds for a whole head; 10
---@field body_timeout? number       seconds for each 64 KiB of a body; 30
---@field idle_timeout? number       seconds between requests; 60
---@field write_timeout? number      seconds that a client may take nothing; 60
---@field handler_timeout? number    seconds until 504; the handler's fiber is cancelled then; 60; negative: none
---@field static? { folder: string, prefix?: string, except?: string, cache?: string }  files that go before the handler: paths under
--- `prefix` ("/") but not under `except`; `cache` is their Cache-Control (HTML is always "no-cache"); FILE.br and FILE.gz are used

--- Starts a server. Each request runs `handler` in a fiber of its own, which is cancelled when the client goes away. It returns
--- `status, body, headers`. The body is nil, a string, a table (sent as JSON), an open file of `fs` or `objects` (streamed from disk;
--- Range and, with an ETag header, If-None-Match work), or a `function(writer)` that streams in a fiber of its own. A header's value is
--- a string or a list of strings. What a handler raises is a 500 (504 for "timeout") whose reason is only logged.
---@param options http.ServeOptions
---@return http.Server? server
---@return stance.Error? err
function http.serve(options) end

---@class http.Server
local Server = {}

--- Stops listening and cuts all connections.
function Server:close() end

--- "127.0.0.1:5001"
---@return string
function Server:address() end

--- "http://127.0.0.1:5001"
---@return string
function Server:url() end

--- How many connections are open.
---@return integer
function Server:connections() end

--- A request. Its fields can be read until it is answered; `query` and `headers` also later, when they were read before.
---@class http.Request
---@field method "GET"|"HEAD"|"POST"|"PUT"|"PATCH"|"DELETE"|"OPTIONS"
---@field path string           as sent, escapes and all, without the query
---@field query_string string   as sent, "" when there is none
---@field query table<string, string|string[]>  decoded; a name that comes again has a list
---@field headers table<string, string>         by lower-case name; repeated ones are joined by ", "
---@field remote string         "127.0.0.1:50312"
---@field id string             the client's X-Request-Id, or the trace id; it is on the answer and on log lines
---@field traceparent string    W3C, to hand on
---@field version "1.1"|"1.0"
---@field websocket boolean     the client asks for a WebSocket: see `upgrade`
---@field has_body boolean
local Request = {}

--- The next piece of the body, at most `most` bytes (64 KiB); nil at its end. Waits. What nobody reads is not taken from the client.
---@param most? integer
---@return string? bytes
---@return stance.Error? err
function Request:read(most) end

--- The whole body. Code "too_large" above `limit` bytes (8 MiB). Waits.
---@param limit? integer
---@return string? bytes
---@return stance.Error? err
function Request:body(limit) end

--- Changes the server's body_limit for this request.
---@param bytes integer
---@return boolean? ok
---@return stance.Error? err  "too_large" when the announced length is above
function Request:limit_body(bytes) end

--- The name of the route in metrics: "/api/jobs/:id". At most 1,024 different ones a process.
---@param route string
function Request:set_route(route) end

--- Lifts handler_timeout from this request.
function Request:no_deadline() end

---@class http.UpgradeOptions
---@field protocol? string       the subprotocol that is agreed on
---@field message_limit? integer bytes of a message; 1 MiB; above it the socket is closed with 1009
---@field send_budget? integer   bytes that may wait for a slow client; 1 MiB; above it the socket is closed with 1008
---@field drop_oldest? boolean   drop the oldest waiting messages instead
---@field ping? number           seconds between pings; 20; negative: none

--- Answers the request with a WebSocket. When the handler returns, the socket is closed with 1000, when it fails with 1011. When the
--- socket is closed, the handler's fiber is cancelled; one that waits on the socket itself is told by it and goes on.
---@param options? http.UpgradeOptions
---@return ws.Socket? socket
---@return stance.Error? err  the request is answered then
function Request:upgrade(options) end

---@class http.Writer
local Writer = {}

--- Sends a piece of the answer. Waits while the client is slow; code "closed" when it is gone.
---@param bytes string
---@return boolean? ok
---@return stance.Error? err
function Writer:write(bytes) end

---@class http.RequestOptions
---@field url string
---@field method? string          "GET"
---@field headers? table<string, string>
---@field body? string
---@field timeout? number         seconds for all of it; 30; negative: none, but a minute of silence ends it
---@field connect_timeout? number seconds; 10
---@field max_size? integer       bytes of the answer's body; 64 MiB; above it code "too_large"
---@field redirects? integer      followed at most; 0
---@field stream? boolean         return as soon as the head is there; see http.Response

---@class http.Answer
---@field status integer
---@field headers table<string, string>  by lower-case name
---@field body string

--- Sends a request and waits for the answer, whatever its status. Codes: "upstream" (no connection, broken off), "timeout", "invalid"
--- (the URL), "too_large". Connections are kept and reused.
---@param options http.RequestOptions
---@return http.Answer|http.Response|nil answer
---@return stance.Error? err
function http.request(options) end

---@param url string
---@param options? http.RequestOptions
---@return http.Answer|http.Response|nil answer
---@return stance.Error? err
function http.get(url, options) end

--- A table as body is sent as JSON.
---@param url string
---@param body? string|table
---@param options? http.RequestOptions
---@return http.Answer|http.Response|nil answer
---@return stance.Error? err
function http.post(url, body, options) end

--- An answer whose body comes piece by piece (`stream = true`).
---@class http.Response
---@field status integer
---@field headers table<string, string>
local Response = {}

--- The next piece; nil at the end. Waits.
---@return string? bytes
---@return stance.Error? err
function Response:read() end

--- Cuts it off; not needed after the end.
function Response:close() end

return http
