"""Relations and mixtures of D3G, and its losses, by plain loops in float64."""

import math

import torch

from tests.algorithms.conftest import CENTRES
from tests.algorithms.reference import losses_of, mean

KM = 6371.0088


def haversine(a, b):
    """Great-circle km of two (lon, lat) in degrees, by math alone."""
    lon_a, lat_a, lon_b, lat_b = map(math.radians, (*a, *b))
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * KM * math.asin(math.sqrt(half))


def cosine(a, b):
    return (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())


def where_is(row, batch, query):
    """What describes a sample: a domain's mean place or its own place, None; and the domain itself, or -1."""
    domain = int(batch.domain[row]) if int(batch.domain[row]) in range(4) else -1
    own = None if batch.lonlat[row].isnan().any() else tuple(batch.lonlat[row].tolist())
    by_domain = domain >= 0 and (query == "domain" or own is None)
    place = CENTRES[domain] if by_domain and CENTRES[domain] is not None else own
    return place, domain if by_domain else -1


def d3g_relations(method, batch, row):
    """The relations of one sample to domains 0 .. 3, as a list."""
    options, encoder = method.options, method.model.encoder
    place, itself = where_is(row, batch, options.query)

    def embedded(lonlat):
        return encoder(torch.tensor([lonlat], dtype=torch.float64))[0]

    found = []
    for domain, centre in enumerate(CENTRES):
        if domain == itself:
            found.append(torch.tensor(1.0, dtype=torch.float64))
        elif place is None or centre is None:
            found.append(torch.tensor(0.0, dtype=torch.float64))
        else:
            fixed = math.exp(-haversine(place, centre) / options.scale_km)
            one, other = embedded(place), embedded(centre)
            learned = mean([cosine(mask * one, mask * other) for mask in method.model.relation.mask])
            if options.negative == "clip" and learned < 0:
                learned = learned * 0
            found.append(options.beta * fixed + (1 - options.beta) * learned)
    return found


def wrap_relations(method, batch, row):
    """The relations of wilds-geoshift; its location encoding and both its networks are written out."""
    model, beta = method.model, method.options.beta
    mask, lonlat = model.relation.mask[0], batch.lonlat[row]

    def network(layers, x):
        hidden = (layers[0].weight @ x + layers[0].bias).clamp(min=0)
        return layers[2].weight @ hidden + layers[2].bias

    found = []
    for domain in range(4):
        learned = 0.0
        if not lonlat.isnan().any():
            lon, lat = (math.radians(float(one)) for one in lonlat)
            raw = torch.tensor([math.cos(lon), math.cos(lat), math.sin(lon), math.sin(lat)])
            key = network(model.relation.group, torch.tensor([float(domain)], dtype=torch.float64))
            learned = cosine(mask * network(model.encoder.head, raw.double()), mask * key)
            if method.options.negative == "clip":
                learned = learned.clamp(min=0)
        found.append(beta * float(int(batch.domain[row]) == domain) + (1 - beta) * learned)
    return [torch.as_tensor(one, dtype=torch.float64) for one in found]


def average(scores, relations, allowed):
    """Scores (4, C) of the heads weighted with relations; the plain mean if all of these are 0."""
    used = [relations[domain] for domain in allowed]
    if all(one == 0 for one in used):
        used = [1.0] * len(allowed)
    total = sum(used)
    return sum(a * scores[domain] for a, domain in zip(used, allowed, strict=True)) / total


def heads(method, features):
    """(4, C) scores of one sample."""
    return [w @ features + b for w, b in zip(method.model.head.weight, method.model.head.bias, strict=True)]


def literal(method, batch, output, relations):
    """Both cross-entropies of each sample of a training domain, by row."""
    task, rest = {}, {}
    for row, domain in enumerate(batch.domain.tolist()):
        if domain in range(4):
            scores = heads(method, output.features[row])
            others = [other for other in range(4) if other != domain]
            mixed = average(scores, relations(method, batch, row), others)
            task[row], rest[row] = (losses_of([s], [batch.label[row]])[0] for s in (scores[domain], mixed))
    return task, rest
