// Which tokens a layer leaves for the rest of the model.
#include <algorithm>

#include "call.h"

namespace edge_qa {
namespace {

// Added to a probe's score of the question's tokens, which are dropped last.
constexpr float kQuestionBonus = 64.f;

}  // namespace

void select_rows(const Call* call, const Phase* phase, int index) {
  const Example& example = call->examples[index];
  const int before = call->left[static_cast<size_t>(phase->layer) * call->example_count + index];
  const int after = call->left[static_cast<size_t>(phase->layer + 1) * call->example_count + index];
  if (before == after) return;
  const Rows &from = call->rows[phase->before], &to = call->rows[phase->after];
  int32_t* kept = to.source + example.first_row;
  for (int row = 0; row < before; row++) kept[row] = row;
  // Of equals the earlier token stays.
  if (phase->kind == kSelectByProbe) {
    float* scores = call->probe_scores + example.first_row;
    if (call->model->embeddings.token_type.rows > 1)
      for (int row = 0; row < before; row++)
        if (call->types[example.first_token + from.origin[example.first_row + row]] == 0) scores[row] += kQuestionBonus;
    // What is no number goes first, so that the order is one.
    for (int row = 0; row < before; row++)
      if (!(scores[row] >= -1e30f)) scores[row] = -1e30f;
    std::sort(kept, kept + before,
              [scores](int a, int b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  } else {
    int32_t* paid = call->paid + example.first_row;
    std::sort(kept, kept + before, [paid](int a, int b) { return paid[a] != paid[b] ? paid[a] > paid[b] : a < b; });
    std::fill(paid, paid + before, 0);
  }
  std::sort(kept, kept + after);
}

}  // namespace edge_qa
