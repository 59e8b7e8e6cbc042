#ifndef NODES_H
#define NODES_H
#define MAX_NODES 64
#define MANY 1000000

enum node_kind { NODE_SET, NODE_START, NODE_END };

struct node {
    enum node_kind kind;
    unsigned char set[32];
    int least, most;
};

struct matcher {
    struct node nodes[MAX_NODES];
    int count;
    int flags;
    const char *problem;
};
#endif
