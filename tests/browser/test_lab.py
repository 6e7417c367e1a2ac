"""The attack lab computes in the browser what advlib computes."""

import json
import statistics

import pytest
import torch
from conftest import SITE

from advlib.attacks import fgsm, jsma, losses, pgd
from advlib.book import lab

HEAVIEST = 3e6  # bytes of what this page alone loads
LOSSES = {"exact": losses.cross_entropy, "float32": losses.float32_cross_entropy}
STEPS = 20
PGD = [*(("exact", eps) for eps in lab.RADII), ("float32", 0.2)]
ASK = """async (tasks) => Promise.all(tasks.map(async ({n, ...task}) => {
  const {image, label} = (await DATA).digits[n];
  const answer = await (n % 2 ? LAB.one : LAB.many)(task.task, {...task, image, label});
  const plain = (values) => Array.from(values);
  return answer.adversarial
    ? [plain(answer.adversarial), plain(Object.values(answer.logits)[0])] : plain(answer);
}))"""


class FirstOfTies(torch.nn.Module):
    """A pool by 2 that takes the first of its largest values, also where rounding hides a tie."""

    def forward(self, values):
        windows = values.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
        largest = windows >= windows.amax(-1, keepdim=True) - 1e-12
        return windows.gather(-1, largest.byte().argmax(-1, keepdim=True)).squeeze(-1)


class Exact(torch.nn.Module):
    """The network without errors of rounding, as the lab has it: in float64, ties being ties."""

    def __init__(self, network):
        super().__init__()
        self.network = network.double()
        for name, layer in list(self.network.named_modules()):
            if isinstance(layer, torch.nn.MaxPool2d):
                self.network.set_submodule(name, FirstOfTies())

    def forward(self, images):
        return self.network(images.double()).float()


@pytest.fixture(scope="module")
def digits():
    images, labels = lab.digits()
    return images[:, None].float() / 255, labels


@pytest.fixture(scope="module")
def opened(browser):
    """The lab, opened as a file, with all its networks."""
    tab = browser.new_page()
    tab.goto((SITE / "book/lab.html").resolve().as_uri())
    tab.wait_for_selector("#lab[data-counted]", timeout=60_000)
    tab.evaluate("() => { window.DATA = LAB.data(); }")
    yield tab
    tab.close()


@pytest.fixture(params=lab.NETWORKS)
def net(request):
    return request.param


def network(net, *, exact=False):
    model = lab.network(net)
    return Exact(model).eval() if exact else model


def ask(tab, images, rows=None, **task):
    """What the lab answers for each image: logits [N, 10]; of an attack, images and logits."""
    rows = range(len(images)) if rows is None else rows
    answers = tab.evaluate(ASK, [{"n": n, **task} for n in rows])
    if task["task"] != "attack":
        return torch.tensor(answers)
    crafted, outputs = zip(*answers, strict=True)
    return torch.tensor(crafted).view(-1, *images.shape[1:]), torch.tensor(outputs)


def slope(model, images, labels, gradient):
    """The loss's gradient at the pixels, [N, 1, 28, 28]."""
    moved = images.clone().requires_grad_()
    logits = model(moved)
    return torch.autograd.grad(logits, moved, LOSSES[gradient](logits.detach(), labels))[0]


def right(outputs, labels):
    return int((outputs.argmax(1) == labels).sum())


@torch.no_grad()
def test_the_logits_are_advlibs(opened, digits, net):
    images, _ = digits
    found = ask(opened, images, task="logits", on=net)
    assert (found - network(net)(images)).abs().max() < 1e-3


@pytest.mark.parametrize("gradient", LOSSES)
@pytest.mark.parametrize("eps", lab.RADII)
def test_fgsm_crafts_advlibs_images(opened, digits, net, eps, gradient):
    images, labels = digits
    how = {"eps": eps, "gradient": gradient}
    found, outputs = ask(opened, images, task="attack", on=net, shown=[net], attack="fgsm", how=how)
    exact = network(net, exact=True)
    same = found == fgsm(exact, images, labels, eps=eps, loss=LOSSES[gradient])
    assert same[slope(exact, images, labels, gradient).abs() >= 1e-6].all()
    model = network(net)
    adversarial = fgsm(model, images, labels, eps=eps, loss=LOSSES[gradient])
    assert abs(right(outputs, labels) - right(model(adversarial), labels)) <= 1


@pytest.mark.parametrize(("gradient", "eps"), PGD)
def test_pgd_crafts_advlibs_images(opened, digits, net, eps, gradient):
    """To the last pixel, but that a path may part from advlib's where the gradient is below 1e-6:
    its sign is chance there, and the steps that follow see another image."""
    images, labels = digits
    model = network(net, exact=True)

    def both(steps, rows):
        how = {"eps": eps, "step": 2.5 * eps / STEPS, "steps": steps}
        asked = {"on": net, "shown": [net], "attack": "pgd", "how": how | {"gradient": gradient}}
        ours = ask(opened, images, rows, task="attack", **asked)
        how |= {"random_start": False, "loss": LOSSES[gradient]}
        return *ours, pgd(model, images[rows], labels[rows], **how)

    found, outputs, theirs = both(STEPS, [*range(len(images))])
    single = pgd(network(net), images, labels, eps=eps, step=2.5 * eps / STEPS, steps=STEPS,
                 random_start=False, loss=LOSSES[gradient])  # fmt: skip
    assert abs(right(outputs, labels) - right(network(net)(single), labels)) <= 1
    for n in (found != theirs).flatten(1).any(1).nonzero().flatten().tolist():
        together, apart = 0, STEPS
        where, common = (found != theirs)[n], images[[n]]
        while apart - together > 1:
            steps = (together + apart) // 2
            ours, _, others = both(steps, [n])
            if torch.equal(ours, others):
                together, common = steps, ours
            else:
                apart, where = steps, (ours != others)[0]
        assert slope(model, common, labels[[n]], gradient)[0][where].abs().max() < 1e-6


def test_jsma_changes_the_same_pixels(opened, digits, net):
    images, labels = digits
    asked = {"on": net, "shown": [net], "attack": "jsma", "how": {"gamma": 0.05}}
    found, outputs = ask(opened, images, task="attack", **asked)
    adversarial = jsma(network(net, exact=True), images, labels, gamma=0.05)
    assert torch.equal(found != images, adversarial != images)
    model = network(net)
    expected = right(model(jsma(model, images, labels, gamma=0.05)), labels)
    assert abs(right(outputs, labels) - expected) <= 1


@pytest.mark.parametrize(("attack", "longest"), [("fgsm", 100), ("pgd", 1000)])
def test_the_picture_follows_the_slider(tab, attack, longest):
    """In milliseconds, median of five moves."""
    page = (SITE / "book/lab.html").resolve().as_uri()
    tab.goto(f"{page}#net=dominant&attack={attack}&on=white-box&eps=0.1")
    tab.wait_for_selector("#lab[data-counted]", timeout=120_000)
    slider, took = tab.locator("[data-lab=eps]"), []
    slider.focus()
    for _ in range(5):
        before = tab.get_attribute("#lab", "data-shown")
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function("then => lab.dataset.shown !== then", arg=before)
        took.append(float(tab.get_attribute("#lab", "data-milliseconds")))
    assert statistics.median(took) < longest


def test_an_address_sets_the_lab_and_follows_it(tab):
    page = (SITE / "book/lab.html").resolve().as_uri()
    tab.goto(f"{page}#net=distilled&attack=fgsm&on=static&gradient=float32&eps=0.3&image=4")
    tab.wait_for_selector("#lab[data-counted]", timeout=60_000)
    shown = json.loads(tab.get_attribute("#lab", "data-shown"))
    assert (shown["net"], shown["on"], shown["how"]["eps"]) == ("distilled", "undefended", 0.3)
    assert tab.locator("[data-lab=digits] [aria-pressed=true]").get_attribute("value") == "4"
    tab.locator("[data-lab=attack]").select_option("jsma")
    tab.locator("[data-lab=digits] button").nth(7).click()
    tab.wait_for_function(
        "location.hash.includes('attack=jsma') && location.hash.includes('image=7')"
    )
    assert "gamma=" in tab.url
    assert not tab.locator("[data-lab=eps]").is_visible()


@pytest.mark.parametrize("page", ["glossary", "studies/dominant_filters"])
def test_other_pages_lead_to_a_setting_of_the_lab(tab, page):
    tab.goto((SITE / f"book/{page}.html").resolve().as_uri())
    tab.locator("article a[href*='lab.html?net=dominant']").first.click()
    tab.wait_for_selector("#lab[data-counted]", timeout=60_000)
    assert json.loads(tab.get_attribute("#lab", "data-shown"))["net"] == "dominant"


def test_what_no_choice_has_is_ignored(tab):
    tab.goto((SITE / "book/lab.html").resolve().as_uri() + "#net=nobody&eps=much&image=99")
    tab.wait_for_selector("#lab[data-counted]", timeout=60_000)
    assert json.loads(tab.get_attribute("#lab", "data-shown"))["net"] == "undefended"


def test_a_digit_can_be_drawn(tab):
    tab.goto((SITE / "book/lab.html").resolve().as_uri())
    tab.wait_for_selector("#lab[data-counted]", timeout=60_000)
    tab.locator("#lab summary").click()
    tab.locator("[data-lab=label]").select_option("1")
    board = tab.locator("[data-lab=board]")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    middle = box["x"] + box["width"] / 2
    tab.mouse.move(middle, box["y"] + 30)
    tab.mouse.down()
    tab.mouse.move(middle, box["y"] + box["height"] - 30, steps=8)
    tab.mouse.up()
    tab.wait_for_function(
        "document.querySelector('[data-lab=status]').textContent.startsWith('A 1,')"
    )
    before = tab.locator("[data-lab=others] tr td:nth-child(2)").all_inner_texts()
    assert before.count("✓ 1") >= 3  # most networks take a stroke for a one


def test_a_browser_without_workers_is_told(tab):
    tab.add_init_script("delete window.Worker")
    tab.goto((SITE / "book/lab.html").resolve().as_uri())
    tab.wait_for_function(
        "document.querySelector('[data-lab=status]').textContent.includes('lacks')"
    )
    assert not tab.locator("[data-lab=tools]").is_visible()


def test_without_scripts_the_same_is_a_picture(browser):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((SITE / "book/lab.html").resolve().as_uri())
    assert "needs JavaScript" in tab.locator("#lab").inner_text()
    assert tab.locator("figure img").first.is_visible()
    context.close()


def test_the_table_counts_as_the_lab_does(tab):
    """Every step of the page: its link, and the count that the table has for it."""
    page = (SITE / "book/lab.html").resolve().as_uri()
    tab.goto(page)
    told = [int(cell) for cell in tab.locator("article table td:nth-child(3)").all_inner_texts()
            if cell.isdigit()]  # fmt: skip
    links = tab.locator("article ol a").evaluate_all("all => all.map(one => one.hash)")
    assert len(links) == len(lab.STEPS)
    for link, count in zip(links, told, strict=True):
        tab.goto("about:blank")
        tab.goto(page + link)
        tab.wait_for_selector("#lab[data-counted]", timeout=60_000)
        assert abs(int(tab.get_attribute("#lab", "data-counted")) - count) <= 1


def test_the_page_is_light():
    own = [*(SITE / "_static/lab").iterdir(), SITE / "book/lab.html"]
    assert sum(file.stat().st_size for file in own) <= HEAVIEST
