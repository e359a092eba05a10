/* deadly_webp.c: preloaded into a program, it stands for a decoder that dies of a picture: every
 * WebP ends the process. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

__attribute__((visibility("default"))) int WebPGetFeaturesInternal(const uint8_t *bytes, size_t n,
                                                                   void *features, int version);
int WebPGetFeaturesInternal(const uint8_t *bytes, size_t n, void *features, int version)
{
    (void)bytes;
    (void)n;
    (void)features;
    (void)version;
    _Exit(139); /* as a shell says SIGSEGV, and without a core file */
}
