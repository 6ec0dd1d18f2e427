#include "kernels/kernel_set.h"

#include <array>
#include <cstdlib>
#include <string>

#include "kernels/kernel_table.h"

namespace weir::kernels {

namespace {

struct Variant {
    std::string_view name;
    const KernelSet* (*get)();
    bool runs_here;
};

// What this build knows, slowest first. A variant with AMX's integer products would be a further
// row; docs/adr/0004 says why none takes products of BF16.
std::span<const Variant> variants() {
#if defined(__x86_64__)
    static const std::array kVariants = {
        Variant{"reference", [] { return &reference_kernels(); }, true},
        Variant{"avx2", [] { return &avx2_kernels(); },
                __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c")},
        Variant{"avx512", [] { return &avx512_kernels(); },
                __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2") &&
                    __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")},
    };
#else
    static const std::array kVariants = {
        Variant{"reference", [] { return &reference_kernels(); }, true},
    };
#endif
    return kVariants;
}

struct Available {
    std::array<const KernelSet*, 8> sets{};
    size_t count = 0;
};

}  // namespace

std::string_view name(const KernelSet& kernels) {
    return kernels.name;
}

std::span<const KernelSet* const> available_kernels() {
    static const Available kAvailable = [] {
        Available found;
        for (const Variant& variant : variants()) {
            if (variant.runs_here) {
                found.sets[found.count++] = variant.get();
            }
        }
        return found;
    }();
    return std::span(kAvailable.sets).first(kAvailable.count);
}

Result<const KernelSet*> select_kernels(std::optional<std::string_view> forced) {
    if (!forced) {
        return available_kernels().back();
    }
    for (const Variant& variant : variants()) {
        if (variant.name == *forced) {
            if (!variant.runs_here) {
                return unsupported("this CPU cannot run the {} kernels", *forced);
            }
            return variant.get();
        }
    }
    std::string known;
    for (const Variant& variant : variants()) {
        known += known.empty() ? "" : ", ";
        known += variant.name;
    }
    return fail(ErrorCode::InvalidArgument, "no kernels named \"{}\"; there are {}", *forced,
                known);
}

Result<const KernelSet*> select_kernels_from_environment() {
    const char* forced = std::getenv("WEIR_CPU");
    return select_kernels(forced == nullptr ? std::nullopt
                                            : std::optional<std::string_view>(forced));
}

}  // namespace weir::kernels
