/* peer.h - a graph run by XNNPACK alone, through its own subgraphs and planning: what our time is
 * measured against. Concatenation, which its releases lack, is left out. */
#ifndef STANCE_GPU_CHECK_PEER_H
#define STANCE_GPU_CHECK_PEER_H

#include "net/graph.h"

struct peer;

/* NULL: this build has no XNNPACK for it, or it refuses the graph. */
struct peer *peer_new(const struct net_graph *graph, uint32_t flags);
void peer_run(struct peer *peer);
void peer_free(struct peer *peer);

#endif
