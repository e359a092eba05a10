/* dnnl_device.c: the CPU as oneDNN sees it, how many threads it may use there, and the streams that
 * primitives are run in. */
#include "engine/onednn_priv.h"

/* libgomp's, which oneDNN is linked with. Declared here because clang does not come with omp.h. */
extern void omp_set_num_threads(int n_threads);
extern int omp_get_max_threads(void);
extern void omp_set_max_active_levels(int n_levels);
extern int omp_get_max_active_levels(void);
extern int omp_pause_resource_all(int kind); /* 1: soft */

void gf__engine_end_threads(void)
{
    (void)omp_pause_resource_all(1);
}

int gf__threads_enter(int n_threads)
{
    const int before = omp_get_max_threads();
    if (before != n_threads)
        omp_set_num_threads(n_threads);
    return before;
}

void gf__threads_leave(int before)
{
    if (omp_get_max_threads() != before)
        omp_set_num_threads(before);
}

int gf__team_forbid(void)
{
    const int before = omp_get_max_active_levels();
    omp_set_max_active_levels(0);
    return before;
}

void gf__team_allow(int before)
{
    omp_set_max_active_levels(before);
}

gf_status gf__dnnl_failed(dnnl_status_t status, const char *what, gf_error *err)
{
    if (status == dnnl_out_of_memory)
        return gf_error_set(err, GF_ENOMEM, "out of memory (oneDNN, %s)", what);
    return gf_error_set(err, GF_EUNSUPPORTED, "oneDNN cannot do this %s (status %d)", what,
                        (int)status);
}

gf_status gf__device_new(gf__device **out, gf_error *err)
{
    gf__device *device = gf__calloc(1, sizeof *device);
    if (device == NULL)
        return gf__error_nomem(err, "the engine", sizeof *device);
    const dnnl_status_t status = dnnl_engine_create(&device->engine, dnnl_cpu, 0);
    if (status != dnnl_success) {
        gf__free(device);
        return gf__dnnl_failed(status, "engine", err);
    }
    *out = device;
    return GF_OK;
}

void gf__device_free(gf__device *device)
{
    if (device == NULL)
        return;
    dnnl_engine_destroy(device->engine);
    gf__free(device);
}

typedef struct isa_name {
    unsigned isa;
    const char *name;
} isa_name;

/* Best first; the values of the enumeration are sets of bits, a later one includes what it
 * builds on. */
static const isa_name isa_names[] = {
    {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
    {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
    {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
    {dnnl_cpu_isa_avx512_core, "avx512_core"},
    {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
    {dnnl_cpu_isa_avx2, "avx2"},
    {dnnl_cpu_isa_avx, "avx"},
    {dnnl_cpu_isa_sse41, "sse41"},
};

bool gf__dnnl_has_isa(unsigned isa)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & isa) == isa;
}

const char *gf__dnnl_isa(void)
{
    for (size_t i = 0; i < sizeof isa_names / sizeof *isa_names; i++)
        if (gf__dnnl_has_isa(isa_names[i].isa))
            return isa_names[i].name;
    return "none";
}

bool gf__dnnl_has_amx(void)
{
    return gf__dnnl_has_isa(dnnl_cpu_isa_avx512_core_amx);
}

bool gf__dnnl_has_bf16(void)
{
    return gf__dnnl_has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

const char *gf__dnnl_version(void)
{
    return "oneDNN " TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(
        DNNL_VERSION_PATCH);
}

void gf__dnnl_describe(gf__buffer *out)
{
    const dnnl_version_t *version = dnnl_version();
    gf__buffer_printf(out, "oneDNN %d.%d.%d %s %s", version->major, version->minor, version->patch,
                      version->hash, gf__dnnl_isa());
}

gf_status gf__stream_new(const gf__device *device, gf__stream **out, gf_error *err)
{
    gf__stream *stream = gf__calloc(1, sizeof *stream);
    if (stream == NULL)
        return gf__error_nomem(err, "a stream", sizeof *stream);
    const dnnl_status_t status = dnnl_stream_create(&stream->stream, device->engine,
                                                    dnnl_stream_default_flags);
    if (status != dnnl_success) {
        gf__free(stream);
        return gf__dnnl_failed(status, "stream", err);
    }
    *out = stream;
    return GF_OK;
}

void gf__stream_free(gf__stream *stream)
{
    if (stream == NULL)
        return;
    dnnl_stream_destroy(stream->stream);
    gf__free(stream);
}
