int policy(int x) { return x * 6; }
const char *label = "override";
int maybe(int x) { return x + 8; }
