"""The text of the page on Figure 3; tables and factors come from the runs."""

HEAD = """
# Figure 3.3 of the KAN paper, the poster's Poisson problem, run again

u_xx + u_yy = f on [-1, 1]², u = 0 on the boundary, u = sin(πx) sin(πy²). Errors are squared: L2² is
the mean of e², H1² that of e² + |∇e|². Medians over seeds, in brackets least and greatest. The
paper's values (arXiv 2404.19756) are read off the vector paths of its figure. This page is made by
`scripts/poster_figure3.py`; all numbers are in `poster_figure3.h5`.
"""

PROTOCOL = """
## The poster's protocol

`problems/poisson2d_poster.toml`: degree 3, loss 0.01 interior + boundary, 10000 and 800 uniform
points, G = 2, 4, 6, 8, 10 with 50 steps of L-BFGS on each; one run gives the errors at all five
grids. MLPs (tanh) take 250 steps on the same loss. N is the paper's: edges times G, for MLPs the
weights without biases. "Ratio" is our median over the paper's value.
"""

DIFFERENCES = """
### What differs from the paper's runs, as far as these are known

- The paper does not name this figure's optimizer, nor says when grids were extended; its public
  code has L-BFGS with 10 pairs of history. Here one step is torch's `LBFGS.step`, up to 20
  iterations, with 300 pairs of history.
- The paper's edges have a silu term besides the spline, here they do not. Its grids follow the
  quantiles of the activations; these are even at first, and are widened exactly when activations
  leave them. A refinement cuts hidden ones down to the activations and inserts knots.
- Hidden edges start as smooth random polynomials here, in the paper as small random splines.
- How many seeds are behind the paper's values is not said. Width 5 depends on the seed: see its
  ranges. A refinement keeps the function, where in the paper the error jumps. Where it does not
  split all intervals (4 → 6, 8 → 10) some are as wide as before.
- Panel 3 of the paper draws the curve of depth 2 with the values of depth 3: no value is given
  for depth 2. Of H1² only the least over the widths is known.
- For dynamics the paper's large MLP is [2,100,100,100,1]; ours is [2,50,50,50,1], a quarter of its
  work.
"""

FAIR = """
## The same optimizer for both: Levenberg–Marquardt on all layers

KANs [2,w,1] of degree 3 on 3721 Gauss points (480 on the boundary): up to 200 steps at G = 2, then
for each finer grid a refinement, least squares for the output layer and up to 120 steps; MLPs
(tanh) up to 680 steps on the same points. With the poster's loss the edges have the paper's silu
term. "Met exactly" is u = D·N with D zero on the boundary; the loss is then the mean squared
residual, and edges are splines only.
"""

BELOW = """
- With this optimizer KANs are below the paper's {where}: with {what}
  by factors of {least} to {most}.
"""

VERDICT = """
- For as many coefficients a tanh MLP (one seed) is as good as a KAN of degree 3, or better: the
  hundredfold advantage that the paper reports for KANs is not there once both are trained by this
  optimizer.
- Degree decides: [2,10,1] of degree 7 ends far below both, and so are KANs [2,2,1] whose structure
  variable projection has found (grey stars in the figure: there with the poster's loss).
"""

ORDERS = """
## Slopes against G

error ~ G^-p by least squares on the logarithms of the seeds' mean errors, with the 95% confidence
interval of Student's t, for the scatter about the line or between the seeds' own slopes, whichever
is wider. Errors are those of the run's own 24 x 24 rule, right to some 15%. For one network N is
edges·G: a slope in G is one in N. "Best" is that of the best splines, 2(k+1) for L2² and 2k for
H1²; "guaranteed" is 2(k-1), what an L2 residual that falls at its own best rate bounds both errors
by.

- Variable projection: KANs found from random starts, [2,3,1] pruned to [2,2,1]; the inner functions
  are cubics on one interval, so x and ±y² are held exactly and only the two output splines are
  refined. The poster's loss, on a lattice of 22500 points and 1200 on the boundary. A row [2,3,1]
  is of runs whose starts did not find the structure.
- Fit in L2: the networks, grids and steps of Levenberg–Marquardt, but u itself is fitted, with no
  equation in between.
"""

REASONS = """
### What is missing, and why

- Structure. With x and ±y² for inner functions the best splines' slopes are there: see variable
  projection. Degrees 5 and 7 are above them, for their coarsest grids are too coarse
  for the asymptotic rate. Degree 3 needs points: its residual has kinks, and with 3721 Gauss points
  L2² at G = 40 was 8.4e-10, with 22500 2.5e-10, with 22500 on a lattice 1.9e-11 (one seed).
- [2,10,1] by Levenberg–Marquardt starts far below such splines: at G = 2 its ten units represent
  together what two splines on two intervals cannot. What begins low has less to gain. The equation
  is not what holds it back: fitted to u itself in as many steps, the same networks fall little
  faster (see "fit in L2") and end at errors as large. Nor is it the steps: four times as many (one
  seed, not kept) lower L2² at G = 10 by less than half and H1² by less than two thirds. What is
  missing lies in the minima that the training finds, for degrees 5 and 7 too: Table 1's page has a
  [2,10,1] constructed by hand, 1.1e-11 in L2² at G = 8 for degree 3 and 1.5e-17 for degree 5.
"""
