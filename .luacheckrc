-- Scripts are LuaJIT; nothing may make or read a global of its own.
std = "luajit"
max_line_length = 140
self = false -- a method need not use its self
exclude_files = { "build", "**/node_modules" }
files["spec"] = { std = "+busted" }
files["lua/stance/meta"] = { ignore = { "211", "212", "241" } } -- definitions: names and arguments that only an editor reads
