#include "model/latent_config.h"

#include "kernels/kernel_table.h"
#include "model/config.h"

namespace weir::model {

Result<void> LatentConfig::validate() const {
    if (kv_rank == 0 || kv_rank > kernels::kLatentValuesMax || kv_rank % 2 != 0) {
        return data_corrupt("a latent of {}; even numbers up to {} are allowed", kv_rank,
                            kernels::kLatentValuesMax);
    }
    if (query_rank > kHiddenMax || nope_dim == 0 || nope_dim > kHeadDimMax || rope_dim == 0 ||
        rope_dim > kHeadDimMax || rope_dim % 2 != 0 || value_dim == 0 || value_dim > kHeadDimMax) {
        return data_corrupt("a latent for heads of {} and {} rotated, values of {}, queries of {}",
                            nope_dim, rope_dim, value_dim, query_rank);
    }
    return {};
}

}  // namespace weir::model
