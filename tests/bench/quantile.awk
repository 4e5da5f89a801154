# quantile(v, n, q): of v[1] to v[n], which it sorts; between two of them in proportion.
function quantile(v, n, q,    i, j, t, at, below) {
	for (i = 2; i <= n; i++) {
		t = v[i]
		for (j = i - 1; j > 0 && v[j] > t; j--)
			v[j + 1] = v[j]
		v[j + 1] = t
	}
	at = 1 + q * (n - 1)
	below = int(at)
	return below < n ? v[below] + (v[below + 1] - v[below]) * (at - below) : v[n]
}
