#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <poll.h>
#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <sys/epoll.h>
static volatile int hits;
static void on(int s) { hits++; }
static void onthread(union sigval v) { printf("thread notified %d\n", v.sival_int); fflush(stdout); }
static void say(const char *w, long n) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); printf("%s %ld at %ld.%06ld\n", w, n, t.tv_sec, t.tv_nsec / 1000); }
int main() {
    signal(SIGRTMIN, on);
    struct sigevent e = {0}; e.sigev_notify = SIGEV_SIGNAL; e.sigev_signo = SIGRTMIN; e.sigev_value.sival_int = 7;
    timer_t t; if (timer_create(CLOCK_MONOTONIC, &e, &t)) { perror("timer_create"); return 1; }
    struct itimerspec s = {{0, 200000000}, {0, 500000000}}, left;
    timer_settime(t, 0, &s, 0); timer_gettime(t, &left); printf("left %ld\n", left.it_value.tv_nsec / 1000000);
    while (hits < 4) pause(); say("signals", hits);
    sigset_t set; sigemptyset(&set); sigaddset(&set, SIGRTMIN); sigprocmask(SIG_BLOCK, &set, 0);
    siginfo_t info; sigwaitinfo(&set, &info); printf("code %d value %d\n", info.si_code == SI_TIMER, info.si_value.sival_int);
    usleep(1000000); sigwaitinfo(&set, &info); printf("overrun %d\n", timer_getoverrun(t)); timer_delete(t);
    struct sigevent e2 = {0}; e2.sigev_notify = SIGEV_THREAD; e2.sigev_notify_function = onthread; e2.sigev_value.sival_int = 9;
    timer_t t2; if (timer_create(CLOCK_REALTIME, &e2, &t2)) perror("thread timer");
    struct itimerspec once = {{0, 0}, {0, 100000000}}; timer_settime(t2, 0, &once, 0); usleep(300000); timer_delete(t2);
    int f = timerfd_create(CLOCK_MONOTONIC, 0); uint64_t n = 0;
    struct itimerspec p = {{0, 100000000}, {0, 300000000}}; timerfd_settime(f, 0, &p, 0);
    read(f, &n, 8); say("timerfd", n); usleep(550000); read(f, &n, 8); say("timerfd", n);
    int ep = epoll_create1(0); struct epoll_event ev = {EPOLLIN, {.fd = f}}, out; epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev);
    say("epoll", epoll_wait(ep, &out, 1, 5000)); read(f, &n, 8); say("timerfd", n);
    struct pollfd q = {f, POLLIN, 0}; say("poll", poll(&q, 1, 20)); say("poll", poll(&q, 1, -1));
    timerfd_gettime(f, &left); printf("interval %ld\n", left.it_interval.tv_nsec);
    struct itimerspec off = {0}; timerfd_settime(f, 0, &off, 0); say("disarmed", poll(&q, 1, 1000));
    int g = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK); printf("nonblock %zd %d\n", read(g, &n, 8), errno == EAGAIN);
    struct timespec now; clock_gettime(CLOCK_REALTIME, &now); struct itimerspec abs = {{0, 0}, {now.tv_sec + 2, 0}};
    timerfd_settime(g, TFD_TIMER_ABSTIME, &abs, 0); q.fd = g; say("absolute", poll(&q, 1, 10000)); read(g, &n, 8); say("absolute", n);
    return 0; }
