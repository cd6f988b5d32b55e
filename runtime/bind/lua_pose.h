/* lua_pose.h - the pose processes of a process, for those who end it. */
#ifndef STANCE_BIND_LUA_POSE_H
#define STANCE_BIND_LUA_POSE_H

struct services;

/* Kills them. After the vms, before the loop. */
void lua_pose_free_pools(struct services *services);

#endif
