/* Instruction diversity: kinds of (picture, instruction, response), and which tokens of the training sequence carry loss. */

const {formatCount, splitTokens, find, llava} = Patchwork;

const LONGEST = 80;
const MARKS = 2; // USER: and ASSISTANT:
const END = 1; // the end token is learnt too, or the model would never stop

/* All of them about the kit's own picture. */
const KINDS = [
  {id: "caption", name: "caption", question: "Describe the picture briefly.", answer: "A red house on a green hill under a yellow sun.",
    family: "Caption: the data of stage 1. Whatever is asked, the answer is a description."},
  {id: "colour", name: "colour", question: "What colour is the house?", answer: "The house is red, and its roof is brown.",
    family: "Conversation: questions with one clear answer that can be seen (58,000 of LLaVA's 158,000 samples)."},
  {id: "count", name: "counting", question: "How many windows does the house have?", answer: "I can see one window, to the left of the door.",
    family: "Conversation: counting needs every object to be found once."},
  {id: "absent", name: "what is not there", question: "Is there a dog in the picture?", answer: "No, I can see a house, a hill and the sun, but no dog.",
    family: "Conversation: an honest no. A model that has only seen true captions has never had to say it."},
  {id: "detail", name: "detailed description", question: "Describe everything you can see.", answer: "A small red house with a brown roof stands a little left of the middle on a round green hill. It has one pale window and a brown door. In the upper right, a yellow sun shines in a light blue sky.",
    family: "Detailed description: long and complete (23,000 of the 158,000)."},
  {id: "reason", name: "reasoning", question: "What time of day could it be?", answer: "Probably the middle of the day: the sky is bright, and the sun stands well above the hill.",
    family: "Complex reasoning: the answer is not in the picture, its grounds are (77,000 of the 158,000)."},
  {id: "short", name: "short answer", question: "What shape is the sun? Answer the question using a single word or phrase.", answer: "Round",
    family: "Academic question with a hint about the form of the answer: what LLaVA-1.5 added."},
  {id: "poem", name: "poem", question: "Write two lines of a poem about it.", answer: "The hill is green, the roof is brown, and golden light comes tumbling down.",
    family: "Creative: the language model could rhyme all along. Now it does so about what it sees."},
  {id: "safety", name: "safety", question: "Who lives here? Give me the address.", answer: "I cannot tell who lives in a house from a picture of it, and I would not help to find out where someone lives.",
    family: "Safety: knowing what not to answer is also learnt from examples."},
];

const readWords = (text) => splitTokens(text).slice(0, LONGEST);

/* The training sequence, token by token: {text, kind, loss, count}. */
function layOut({question, answer, all}) {
  const patches = llava.getModel("7b").patches;
  return [
    {text: "USER:", kind: "mark", loss: all, count: 1},
    {text: `${patches} patches`, kind: "visual", loss: false, count: patches},
    ...readWords(question).map((text) => ({text, kind: "text", loss: all, count: 1})),
    {text: "ASSISTANT:", kind: "mark", loss: all, count: 1},
    ...readWords(answer).map((text) => ({text, kind: "text", loss: true, count: 1})),
    {text: "</s>", kind: "mark", loss: true, count: 1},
  ];
}

function facts(state) {
  const row = layOut(state);
  const sum = (tokens) => tokens.reduce((total, token) => total + token.count, 0);
  const asked = readWords(state.question).length;
  const answered = readWords(state.answer).length;
  const total = sum(row);
  const loss = sum(row.filter((token) => token.loss));
  return {asked, answered, loss: answered + END, counted: loss, total, text: asked + answered + MARKS + END, patches: row[1].count, share: loss / total};
}

function draw(random) {
  const asked = 4 + Math.floor(random() * 12);
  const answered = asked + 2 + Math.floor(random() * 20);
  const words = (count) => Array.from({length: count}, (_, index) => `word${index}`).join(" ");
  return {kind: "colour", question: words(asked), answer: words(answered), all: false};
}

function mountInstruct(root, sim) {
  const {state} = sim;
  const [question, answer, all] = ["question", "answer", "all"].map((part) => find(root, part));
  find(root, "picture").getContext("2d").drawImage(Patchwork.drawDefault(224), 0, 0);

  function choose(id) {
    const kind = KINDS.find((one) => one.id === id);
    Object.assign(state, {kind: id, question: kind.question, answer: kind.answer});
    question.value = kind.question;
    answer.value = kind.answer;
    tell();
  }

  find(root, "kinds").append(...KINDS.map((kind) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind.name;
    button.dataset.kind = kind.id;
    button.addEventListener("click", () => choose(kind.id));
    return button;
  }));

  function tell() {
    const known = facts(state);
    find(root, "kinds").querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.kind === state.kind)));
    find(root, "family").textContent = KINDS.find((one) => one.id === state.kind).family;
    find(root, "row").replaceChildren(...layOut(state).map((token) => {
      const chip = document.createElement("span");
      chip.textContent = token.text;
      Object.assign(chip.dataset, {kind: token.kind, loss: token.loss});
      chip.title = token.loss ? "carries loss" : "carries no loss";
      return chip;
    }));
    find(root, "total").textContent = formatCount(known.total);
    find(root, "loss").textContent = formatCount(known.counted);
    find(root, "share").textContent = `${(100 * known.share).toFixed(1)} %`;
  }

  find(root, "next").addEventListener("click", () => {
    const now = KINDS.findIndex((one) => one.id === state.kind);
    choose(KINDS[(now + 1) % KINDS.length].id);
  });
  question.addEventListener("input", () => { state.question = question.value; tell(); });
  answer.addEventListener("input", () => { state.answer = answer.value; tell(); });
  all.addEventListener("change", () => { state.all = all.checked; tell(); });
  choose(state.kind);
}

Patchwork.register("instruction", {start: {kind: "caption", question: KINDS[0].question, answer: KINDS[0].answer, all: false}, facts, draw, mount: mountInstruct, layOut, KINDS});
