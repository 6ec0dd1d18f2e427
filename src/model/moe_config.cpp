#include "model/moe_config.h"

#include "model/config.h"

namespace weir::model {

Result<void> RouterRule::validate() const {
    if (experts == 0 || experts > kExpertsMax) {
        return data_corrupt("{} experts (expert_count); 1 to {} are allowed", experts, kExpertsMax);
    }
    if (groups == 0 || groups > kExpertGroupsMax || experts % groups != 0) {
        return data_corrupt("{} experts in {} groups (n_group, expert_group_count)", experts,
                            groups);
    }
    if (groups_chosen == 0 || groups_chosen > groups) {
        return data_corrupt(
            "topk_group (expert_group_used_count): {} of {} groups of experts are chosen",
            groups_chosen, groups);
    }
    const uint32_t within_reach = experts / groups * groups_chosen;
    if (chosen == 0 || chosen > within_reach || chosen > kExpertsChosenMax) {
        return data_corrupt(
            "num_experts_per_tok (expert_used_count): {} of {} experts within reach are chosen",
            chosen, within_reach);
    }
    if (!(scale > 0 && scale < 1e9f)) {
        return data_corrupt("experts are weighted by {}", scale);
    }
    return {};
}

Result<void> MoeConfig::validate(uint32_t layer_count) const {
    WEIR_TRY(router.validate());
    if (width == 0 || width > kFeedForwardMax || shared_width > kFeedForwardMax) {
        return data_corrupt("experts of {} and a shared one of {}", width, shared_width);
    }
    if (clamp &&
        !(clamp->limit > 0 && clamp->limit < 1e9f && clamp->alpha > 0 && clamp->alpha < 1e9f)) {
        return data_corrupt("the experts' limit is {}, their slope {}", clamp->limit, clamp->alpha);
    }
    if (layers.size() != layer_count) {
        return data_corrupt("{} layers, but it is said of {} whether they have experts",
                            layer_count, layers.size());
    }
    return {};
}

}  // namespace weir::model
