---@meta host

--- The process that a script runs in: what it is, its scripts and settings, its workers, and how it ends.
local host = {}

---@type "host"|"worker"|"trial"|"tool"|"spec"
host.role = nil
---@type string
host.version = nil
--- The data folder, absolute.
---@type string
host.data_dir = nil
--- Workers: which one this is, from 1. Elsewhere 0.
---@type integer
host.worker_index = nil
---@type integer
host.pid = nil

--- The name of the generation of scripts that this vm runs: 16 hex digits.
---@return string
function host.generation() end

---@class host.Script
---@field path string  as scripts are required: "workflows/render.lua"
---@field hash string  SHA-256, hex
---@field size integer  bytes
---@field origin string  the file that it was read from
---@field known boolean  in a trial: the active generation has the same text

---@return host.Script[]
function host.scripts() end

--- The text of one script of this generation.
---@param path string
---@return string? text
---@return stance.Error? err
function host.script(path) end

--- The value of a setting: durations in seconds, sizes in bytes, lists as tables. Raises for a name that does not exist, and
--- for secrets.
---@param name string  "job_lease"
---@return string|number|boolean|string[]|nil
function host.config(name) end

--- Seconds since the process began.
---@return number
function host.uptime() end

---@return { resident: integer, vm: integer }  bytes of the process, and of this vm
function host.memory() end

--- What this process uses.
---@return { resident: number, cpu_seconds: number, threads: number }
function host.usage() end

--- The longest turn of the event loop in the last five to ten seconds, in seconds: for so long nothing else was answered.
---@return number
function host.lag() end

--- Says that the host takes requests at this address.
---@param url string
function host.ready(url) end

--- What to do before the process ends: runs in a fiber on SIGTERM and the like; the process ends when it returns.
---@param fn fun(reason: string)
function host.on_stop(fn) end

--- Hosts: from here on this vm is the host, and the one before it retires. In other processes nothing.
function host.activate() end

--- What to do when another generation of scripts has become active: runs in a fiber, while this vm drains.
---@param fn fun(reason: string)
function host.on_retire(fn) end

---@class host.Load
---@field at number seconds since 1970
---@field seconds number it took
---@field trigger "start"|"command"|"signal"|"change"|"rollback"|"console"
---@field actor string
---@field generation? string
---@field outcome "active"|"unchanged"|"failed"
---@field reason? string lines "PATH:LINE: MESSAGE"

--- Loads scripts and makes them active: those on disk, or `scripts`. Waits for the end; while another load is under way "busy".
---@param options { trigger: string, actor?: string, scripts?: { path: string, text: string, origin?: string }[] }
---@return host.Load? load
---@return stance.Error? err
function host.load(options) end

--- How the last loads went, newest first.
---@return host.Load[]
function host.loads() end

--- The vms there are, newest first.
---@return { name: string, state: "loading"|"active"|"draining", seconds: number, memory: integer, fibers: integer }[]
function host.generations() end

--- A text that outlives this vm, by name (see stance.state).
---@param name string
---@return string?
function host.kept(name) end

---@param name string
---@param text? string nil forgets it
function host.keep(name, text) end

--- A signal that all vms of this process share (see stance.signal).
---@param name string
---@return stance.signal
function host.signal(name) end

--- Ends the process's loop, and so the process, after the present callback.
---@param exit_code? integer
function host.stop(exit_code) end

--- A worker process and its successors: one that ends is started again, with back-off; one that misses its heartbeats for
--- 10 s is killed.
---@class host.Worker
local Worker = {}

--- Sends it an event, for its `host.receive`.
---@param event string
---@return boolean sent  false when no process of it is up
function Worker:send(event) end

--- SIGTERM, then SIGKILL; none is started again.
---@param grace? number  seconds between the two; default 5
function Worker:stop(grace) end

---@return string
function Worker:name() end

--- The generation of scripts that it runs.
---@return string
function Worker:generation() end

---@return string?  "NAME/PID"; nil when no process of it is up
function Worker:id() end

---@return integer  0 when no process of it is up
function Worker:pid() end

---@return integer
function Worker:restarts() end

---@class host.Usage
---@field resident number  bytes
---@field cpu_seconds number  user and system, of all its threads
---@field threads number
---@field queued_bytes number  for it, that the link has not taken yet

---@return host.Usage?  nil when no process of it is up
function Worker:usage() end

--- Whether no process of it runs, or will.
---@return boolean
function Worker:is_gone() end

---@class host.WorkerExit
---@field status integer
---@field signal integer  0: it ended by itself
---@field unheard boolean  killed for missing heartbeats, or a broken link
---@field seconds number  it lived
---@field restarting boolean
---@field restart_in number  seconds until the next one starts, when it is restarting

---@class host.WorkerOptions
---@field name? string  in logs and metrics
---@field index? integer  its `host.worker_index`
---@field generation? string  the scripts it runs

--- The host only.
---@param options host.WorkerOptions
---@return host.Worker? worker
---@return stance.Error? err
function host.spawn_worker(options) end

--- The host only: the workers that have a process or will have one, oldest first, whoever started them.
---@return host.Worker[]
function host.workers() end

--- The host only: this vm answers the workers from here on. `handler(id, request)` answers a worker's `host.call`, in a fiber of its
--- own; `on_exit(id, exit)` is told of the end of a process.
---@param options { handler: (fun(id: string, request: string): string), on_exit: fun(id: string, exit: host.WorkerExit) }
function host.serve_workers(options) end

--- Workers only: asks the host, waits for the answer.
---@param request string
---@param timeout? number  seconds; default: none
---@return string? answer
---@return stance.Error? err  "closed", "timeout"; "upstream" when the host's handler failed
function host.call(request, timeout) end

--- Workers only: the next event that the host sent; one fiber at a time.
---@return string? event
---@return stance.Error? err  "closed"
function host.receive() end

return host
