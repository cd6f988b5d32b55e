-- Log lines as tables, for specs: captured_log(function() ... end) -> { {level=, message=, ...}, ... }
local ffi, json = require "ffi", require "json"

ffi.cdef [[
  void log_set_fd(int fd);
  void log_configure(int least, int format);
  int pipe(int ends[2]);
  int close(int fd);
  long read(int fd, void *buffer, size_t size);
]]

local DEBUG, ERROR, AUTO, JSON, STDERR, SIZE = 0, 3, 0, 1, 2, 65536

return function(fn)
  local ends, buffer, lines = ffi.new "int[2]", ffi.new("char[?]", SIZE), {}
  assert(ffi.C.pipe(ends) == 0)
  ffi.C.log_configure(DEBUG, JSON)
  ffi.C.log_set_fd(ends[1])
  local ok, why = pcall(fn)
  ffi.C.log_set_fd(STDERR)
  ffi.C.log_configure(ERROR, AUTO)
  ffi.C.close(ends[1])
  local text = ffi.string(buffer, ffi.C.read(ends[0], buffer, SIZE))
  ffi.C.close(ends[0])
  for line in text:gmatch "[^\n]+" do
    line = json.decode(line)
    -- on slow machines the runtime complains about slow fibers and turns
    if line.service ~= "fiber" and line.service ~= "loop" then lines[#lines + 1] = line end
  end
  if not ok then error(why, 0) end
  return lines
end
