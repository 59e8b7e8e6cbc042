#include <stdio.h>
#include <signal.h>
#include <unistd.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <pthread.h>
#include <semaphore.h>
static void *late(void *a) { usleep(3000); uint64_t one = 1; write(*(int *)a, &one, 8); return 0; }
int main() { setvbuf(stdout, 0, _IONBF, 0); sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigaddset(&s, SIGCHLD); sigprocmask(SIG_BLOCK, &s, 0); int f = signalfd(-1, &s, 0);
    raise(SIGUSR1); struct signalfd_siginfo i; read(f, &i, sizeof i); printf("%d from %d\n", i.ssi_signo, i.ssi_pid == getpid());
    if (!fork()) { usleep(1000); exit(5); } struct pollfd p = {f, POLLIN, 0}; printf("poll %d\n", poll(&p, 1, 60000)); read(f, &i, sizeof i); printf("%d status %d\n", i.ssi_signo, i.ssi_status); wait(0);
    if (!fork()) { usleep(1000); exit(6); } read(f, &i, sizeof i); printf("%d status %d\n", i.ssi_signo, i.ssi_status); wait(0);
    int e = eventfd(0, 0); pthread_t t; pthread_create(&t, 0, late, &e); uint64_t v; read(e, &v, 8); printf("event %lu\n", v); pthread_join(t, 0);
    sem_t *m = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0); sem_init(m, 1, 0); if (!fork()) { usleep(5000); sem_post(m); exit(0); } sem_wait(m); puts("posted"); wait(0);
    return 0; }
