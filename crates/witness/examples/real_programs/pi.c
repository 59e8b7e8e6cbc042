#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <errno.h>
static pthread_mutex_t m; static int count;
static void *f(void *a) { for (int i = 0; i < 50; i++) { pthread_mutex_lock(&m); int c = count; usleep(10); count = c + 1; pthread_mutex_unlock(&m); } return 0; }
static void *dies(void *a) { pthread_mutex_lock(a); return 0; }
int main() { pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT); pthread_mutex_init(&m, &a);
    pthread_t t[4]; for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, f, 0); for (int i = 0; i < 4; i++) pthread_join(t[i], 0); printf("%d\n", count);
    pthread_mutex_lock(&m); pthread_mutexattr_t r; pthread_mutexattr_init(&r); pthread_mutexattr_setrobust(&r, PTHREAD_MUTEX_ROBUST); pthread_mutex_t n; pthread_mutex_init(&n, &r);
    pthread_create(&t[0], 0, dies, &n); pthread_join(t[0], 0); int e = pthread_mutex_lock(&n); printf("owner dead %d\n", e == EOWNERDEAD);
    return 0; }
