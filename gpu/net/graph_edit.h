/* graph_edit.h - what only the makers of graphs use. */
#ifndef STANCE_NET_GRAPH_EDIT_H
#define STANCE_NET_GRAPH_EDIT_H

#include "net/graph.h"

/* Drops tensors that neither operators nor inputs and outputs name, and numbers the others anew. */
int net_graph_compact(struct net_graph *graph, char *why);

#endif
