#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace weir::kernels {

class ThreadPool;

// One variant of every kernel, for one kind of CPU (kernel_table.h has the functions).
//
// All variants reduce every output element in the same order (matmul.h and attention.h say which),
// so they give the same bits: the engine's answers do not depend on the machine's vector width.
struct KernelSet;

// "reference", "avx2", "avx512".
std::string_view name(const KernelSet& kernels);

// The variants that this CPU can run, slowest first; the first is the reference.
std::span<const KernelSet* const> available_kernels();

// The variant named `forced`, or the fastest this CPU can run. InvalidArgument for an unknown
// name, Unsupported for one that this CPU cannot run.
Result<const KernelSet*> select_kernels(std::optional<std::string_view> forced);

// select_kernels with what the environment variable WEIR_CPU says, if it is set.
Result<const KernelSet*> select_kernels_from_environment();

// What an operation runs on. Both are borrowed, and outlive the call.
struct Compute {
    const KernelSet& kernels;
    ThreadPool& pool;
};

}  // namespace weir::kernels
