/* base/cpus_priv.h: gf_threads_available() with another / to look in, for its tests. */
#ifndef GRAFT_BASE_CPUS_PRIV_H
#define GRAFT_BASE_CPUS_PRIV_H

/* CPUs that the cgroups described below root (ROOT/proc/self/cgroup, ROOT/sys/fs/cgroup) grant this
 * process, rounded down, at least 1; INT_MAX where none sets a quota. root is "" for the real
 * ones. */
int gf__cgroup_cpus(const char *root);

#endif
