/* tensor/convert.c: any value type to float32, and the two 16-bit floats by themselves.
 *
 * One loop per type, picked from a table. 64-bit integers and doubles are rounded to the nearest
 * float, doubles past its range become infinite, as numpy's astype(float32) does. */
#include <math.h>
#include <string.h>

#include "tensor/tensor_priv.h"

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float gf__f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fu;
    const uint32_t fraction = half & 0x3ffu;
    if (exponent == 0x1f) /* infinity, NaN */
        return float_of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) { /* zero, subnormal: exact as a float */
        const float magnitude = (float)fraction * 0x1p-24f;
        return float_of_bits(sign | bits_of_float(magnitude));
    }
    return float_of_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

/* Half the distance between two halves is added, so that ties go to the even one; what overflows is
 * infinite, what is too small is a subnormal or zero. */
uint16_t gf__f32_to_f16(float value)
{
    const uint32_t bits = bits_of_float(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: in units of 2^-24 */
        const float scaled = fabsf(value) * 16777216.0f;
        return (uint16_t)(sign | (uint16_t)nearbyintf(scaled));
    }
    const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (uint16_t)((rounded - 0x38000000u) >> 13));
}

float gf__bf16_to_f32(uint16_t bfloat)
{
    return float_of_bits((uint32_t)bfloat << 16);
}

uint16_t gf__f32_to_bf16(float value)
{
    const uint32_t bits = bits_of_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) /* rounding could carry a NaN into infinity */
        return (uint16_t)(bits >> 16 | 0x40u);
    const uint32_t is_odd = bits >> 16 & 1u;
    return (uint16_t)((bits + 0x7fffu + is_odd) >> 16);
}

#define DEFINE_CONVERSION(name, type, expression)           \
    static void name(float *to, const void *from, size_t n) \
    {                                                       \
        const type *values = from;                          \
        for (size_t i = 0; i < n; i++) {                    \
            const type x = values[i];                       \
            to[i] = (expression);                           \
        }                                                   \
    }

DEFINE_CONVERSION(convert_f32, float, x)
DEFINE_CONVERSION(convert_f64, double, (float)x)
DEFINE_CONVERSION(convert_f16, uint16_t, gf__f16_to_f32(x))
DEFINE_CONVERSION(convert_bf16, uint16_t, gf__bf16_to_f32(x))
DEFINE_CONVERSION(convert_u8, uint8_t, (float)x)
DEFINE_CONVERSION(convert_i8, int8_t, (float)x)
DEFINE_CONVERSION(convert_u16, uint16_t, (float)x)
DEFINE_CONVERSION(convert_i16, int16_t, (float)x)
DEFINE_CONVERSION(convert_u32, uint32_t, (float)x)
DEFINE_CONVERSION(convert_i32, int32_t, (float)x)
DEFINE_CONVERSION(convert_u64, uint64_t, (float)x)
DEFINE_CONVERSION(convert_i64, int64_t, (float)x)
/* A byte, not a C bool: files hold what they like, and reading another bool than 0 or 1 is
 * undefined. */
DEFINE_CONVERSION(convert_bool, uint8_t, x != 0 ? 1.0f : 0.0f)

static void (*const conversions[GF__N_DTYPES])(float *to, const void *from, size_t n) = {
    [GF_DTYPE_F32] = convert_f32,   [GF_DTYPE_F64] = convert_f64, [GF_DTYPE_F16] = convert_f16,
    [GF_DTYPE_BF16] = convert_bf16, [GF_DTYPE_U8] = convert_u8,   [GF_DTYPE_I8] = convert_i8,
    [GF_DTYPE_U16] = convert_u16,   [GF_DTYPE_I16] = convert_i16, [GF_DTYPE_U32] = convert_u32,
    [GF_DTYPE_I32] = convert_i32,   [GF_DTYPE_U64] = convert_u64, [GF_DTYPE_I64] = convert_i64,
    [GF_DTYPE_BOOL] = convert_bool,
};

gf_status gf_tensor_to_f32(const gf_tensor *tensor, gf_tensor **out, gf_error *err)
{
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, gf_tensor_shape(tensor),
                                       gf_tensor_n_dims(tensor), out, err);
    if (st == GF_OK)
        conversions[gf_tensor_dtype(tensor)](gf_tensor_mutable_data(*out), gf_tensor_data(tensor),
                                             gf_tensor_n_values(tensor));
    return st;
}
