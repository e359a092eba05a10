/* jobs/tiers.c: what the names of Cloud ML's machines mean here. CPUs are what the service had in
 * them, as far as there are so many; memory is a bound, for the machines that are chosen by name.
 * There are no GPUs and TPUs: such tiers run on CPUs and the job's log says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/keeper_priv.h"

#define GIB       ((uint64_t)1 << 30)
#define ALL       SIZE_MAX
#define MAX_N1    96
#define N1_MEMORY (GIB * 15 / 4) /* a CPU of n1-standard-N */

typedef struct machine {
    const char *name;
    size_t n_cpus;
    uint64_t max_memory_bytes; /* 0: no bound of its own */
    const char *missing;       /* what it had that is not here: "a GPU"; NULL: nothing */
} machine;

static const machine tiers[] = {
    {"BASIC", 2, 0, NULL},        {"STANDARD_1", ALL, 0, NULL}, {"PREMIUM_1", ALL, 0, NULL},
    {"BASIC_GPU", 2, 0, "a GPU"}, {"BASIC_TPU", 2, 0, "a TPU"}, {"CUSTOM", 0, 0, NULL},
};
static const machine machines[] = {
    {"standard", 4, 15 * GIB, NULL},
    {"large_model", 8, 52 * GIB, NULL},
    {"complex_model_s", 8, 7 * GIB, NULL},
    {"complex_model_m", 16, 14 * GIB, NULL},
    {"complex_model_l", 32, 28 * GIB, NULL},
    {"standard_gpu", 8, 30 * GIB, "a GPU"},
    {"complex_model_m_gpu", 8, 30 * GIB, "4 GPUs"},
    {"complex_model_l_gpu", 16, 60 * GIB, "8 GPUs"},
    {"standard_p100", 8, 30 * GIB, "a GPU"},
    {"complex_model_m_p100", 16, 60 * GIB, "4 GPUs"},
    {"standard_v100", 8, 30 * GIB, "a GPU"},
    {"large_model_v100", 16, 52 * GIB, "a GPU"},
    {"complex_model_m_v100", 16, 60 * GIB, "4 GPUs"},
    {"complex_model_l_v100", 32, 120 * GIB, "8 GPUs"},
    {"cloud_tpu", 4, 15 * GIB, "a TPU"},
};

static const machine *find(const machine *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static gf_status refuse(const machine *table, size_t n, const char *field, const char *name,
                        const char *also, gf_error *err)
{
    gf__buffer known = {0};
    for (size_t i = 0; i < n; i++)
        gf__buffer_printf(&known, "%s%s", i > 0 ? ", " : "", table[i].name);
    const gf_status st = gf__buffer_status(&known, err);
    if (st == GF_OK)
        gf_error_set(err, GF_EINVAL, "trainingInput.%s: \"%.60s\" is not known; expected %s%s",
                     field, name, known.data, also);
    gf__buffer_free(&known);
    return st == GF_OK ? GF_EINVAL : st;
}

/* "n1-standard-8": any N that there can be. */
static bool read_n1(const char *name, machine *out)
{
    const char *prefix = "n1-standard-";
    char *end = NULL;
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return false;
    const unsigned long n = strtoul(name + strlen(prefix), &end, 10);
    if (n < 1 || n > MAX_N1 || *end != '\0' || strchr("+- ", name[strlen(prefix)]) != NULL)
        return false;
    *out = (machine){.name = name, .n_cpus = n, .max_memory_bytes = n * N1_MEMORY};
    return true;
}

static gf_status find_machine(const gf__json *input, machine *out, gf_error *err)
{
    const char *name = gf__json_string(gf__json_find(input, "masterType"), "");
    if (name[0] == '\0')
        return gf_error_set(err, GF_EINVAL,
                            "trainingInput.masterType: is needed with the scaleTier CUSTOM");
    if (read_n1(name, out))
        return GF_OK;
    const machine *found = find(machines, sizeof machines / sizeof *machines, name);
    if (found == NULL)
        return refuse(machines, sizeof machines / sizeof *machines, "masterType", name,
                      ", n1-standard-N", err);
    *out = *found;
    return GF_OK;
}

gf_status gf__size_of_training(const gf__json *input, const gf__size *most, gf__size *out,
                               gf_error *err)
{
    const char *name = gf__json_string(gf__json_find(input, "scaleTier"), "BASIC");
    const machine *tier = find(tiers, sizeof tiers / sizeof *tiers, name);
    gf_status st = GF_OK;
    if (tier == NULL && strcmp(name, "TIER_UNSPECIFIED") != 0)
        return refuse(tiers, sizeof tiers / sizeof *tiers, "scaleTier", name, "", err);
    machine asked = tier != NULL ? *tier : tiers[0];
    if (asked.n_cpus == 0)
        st = find_machine(input, &asked, err);
    if (st != GF_OK)
        return st;
    *out = *most;
    out->note[0] = '\0';
    if (asked.n_cpus < most->n_cpus)
        out->n_cpus = asked.n_cpus;
    if (asked.max_memory_bytes > 0 &&
        (most->max_memory_bytes == 0 || asked.max_memory_bytes < most->max_memory_bytes))
        out->max_memory_bytes = asked.max_memory_bytes;
    if (asked.missing != NULL)
        snprintf(out->note, sizeof out->note,
                 "%s has %s; there is none here, this runs on %zu CPU%s", asked.name, asked.missing,
                 out->n_cpus, out->n_cpus == 1 ? "" : "s");
    return GF_OK;
}
