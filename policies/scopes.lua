--- scopes.lua - who may do what over HTTP: the scopes of each principal.
---
--- A route names the scope that it needs (lua/api); a principal without it gets 403. "*" stands for every scope, "jobs:*" for those
--- that begin so. On a host without credentials everybody is "local". A file of this name in the workspace's policies/ folder
--- takes this one's place.
return {
  ["local"] = { "*" },
}
